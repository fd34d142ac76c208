#!/usr/bin/env bash
# setup_node.sh [FOLDER]: install the npm packages of a folder, by default of client_js: what builds
# and tests the browser client.
set -euo pipefail
folder=${1:-client_js}
cd "$(dirname "$0")/../$folder"

for program in node npm; do
    if ! command -v "$program" >/dev/null; then
        echo "Node.js 20.19 or newer with npm is needed; '$program' was not found." >&2
        exit 1
    fi
done
# Vite, which the tests bundle the client with, needs 20.19.
if ! node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major < 20 || (major === 20 && minor < 19) ? 1 : 0)'; then
    echo "Node.js 20.19 or newer is needed; 'node' is $(node --version)." >&2
    exit 1
fi

echo "Installing the npm packages of $folder"
npm install --loglevel=error
touch node_modules/.ready
