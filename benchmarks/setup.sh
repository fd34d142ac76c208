#!/usr/bin/env bash
# Create .venv-bench and benchmarks/node/node_modules. Without npm, the Node.js peers are left out.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed (set PYTHON=… to use another)." >&2
    exit 1
fi

if ! .venv-bench/bin/python -m pip --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        scripts/install_packages.sh python3-venv
    fi
    echo "Creating .venv-bench with $("$python" -V)"
    "$python" -m venv --clear .venv-bench
    echo '*' >.venv-bench/.gitignore
fi
echo "Installing the dependencies of the benchmarks into .venv-bench"
.venv-bench/bin/python -m pip install -qq --disable-pip-version-check -e . -r benchmarks/requirements.txt

if command -v npm >/dev/null; then
    echo "Installing the npm packages of benchmarks/node"
    (cd benchmarks/node && npm install --loglevel=error) ||
        echo "npm failed: the Node.js peers are left out" >&2
fi
touch .venv-bench/.ready
