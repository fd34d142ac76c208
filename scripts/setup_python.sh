#!/usr/bin/env bash
# setup_python.sh demo|dev: makes .venv, with this package and what that extra names.
set -euo pipefail
cd "$(dirname "$0")/.."

extra=$1
python=${PYTHON:-python3}

if ! command -v "$python" >/dev/null; then
    echo "Python 3.11 or newer is needed; '$python' was not found (set PYTHON=… to name another)." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed; '$python' is $("$python" -V) (set PYTHON=… to name another)." >&2
    exit 1
fi

# A folder left by another Python, or by a run that was cut short, is made anew.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        scripts/install_packages.sh python3-venv
    fi
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        echo "'$python' cannot make virtual environments: its module ensurepip is missing." >&2
        exit 1
    fi
    echo "Making .venv with $("$python" -V)"
    "$python" -m venv --clear .venv
fi

echo "Installing the Python packages of the extra '$extra' into .venv"
.venv/bin/python -m pip install -qq --disable-pip-version-check -e ".[$extra]"

touch .venv/.demo-ready
if [ "$extra" = dev ]; then
    touch .venv/.dev-ready
fi
