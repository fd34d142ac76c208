#!/usr/bin/env bash
# setup_python.sh demo|dev|integrations: create .venv, with this package and that group of
# dependencies. The last is added to what `dev` has installed.
set -euo pipefail
cd "$(dirname "$0")/.."

group=$1
python=${PYTHON:-python3}

if ! command -v "$python" >/dev/null; then
    echo "Python 3.11 or newer is needed; '$python' was not found (set PYTHON=… to use another)." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed; '$python' is $("$python" -V) (set PYTHON=… to use another)." >&2
    exit 1
fi

# Recreate a directory left by another Python or by an interrupted run.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        scripts/install_packages.sh python3-venv
    fi
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        echo "'$python' cannot create virtual environments: its module ensurepip is missing." >&2
        exit 1
    fi
    echo "Creating .venv with $("$python" -V)"
    "$python" -m venv --clear .venv
fi

echo "Installing the Python packages of the group '$group' into .venv"
pip=(.venv/bin/python -m pip install -qq --disable-pip-version-check)
"${pip[@]}" 'pip>=25.1' # older ones do not know groups
if [ "$group" = dev ]; then
    "${pip[@]}" -e '.[client,redis]' --group dev
    touch .venv/.dev-ready
elif [ "$group" = integrations ]; then
    "${pip[@]}" --group integrations
    touch .venv/.integrations-ready
else
    "${pip[@]}" -e '.[redis]' --group "$group"
fi
touch .venv/.demo-ready
