#!/usr/bin/env bash
# Install what builds and tests the browser client, into client_js/node_modules.
set -euo pipefail
cd "$(dirname "$0")/../client_js"

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

echo "Installing the npm packages of client_js"
npm install --loglevel=error
touch node_modules/.ready
