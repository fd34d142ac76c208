#!/usr/bin/env bash
# Install what builds and tests the browser client, into client_js/node_modules.
set -euo pipefail
cd "$(dirname "$0")/../client_js"

for program in node npm; do
    if ! command -v "$program" >/dev/null; then
        echo "Node.js 20 or newer with npm is needed; '$program' was not found." >&2
        exit 1
    fi
done
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)'; then
    echo "Node.js 20 or newer is needed; 'node' is $(node --version)." >&2
    exit 1
fi

echo "Installing the npm packages of client_js"
npm install --loglevel=error
touch node_modules/.ready
