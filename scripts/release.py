"""Build the packages of a release, try them, and say how to publish them. Publishes nothing.

``python scripts/release.py`` needs a clean checkout, and builds from a copy of its last commit into
``dist/``. The tests in ``tests/consumers`` then install these very files into empty projects.
``python scripts/release.py --check`` only compares the versions, and prints what CHANGELOG.md says.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"

NEWEST = re.compile(
    r"^## (\S+), (unreleased|\d{4}-\d\d-\d\d)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)
"""The newest section of CHANGELOG.md: version, date, changes."""
UNDATED = """These files are not for publishing yet: in CHANGELOG.md, write the date in place of
"unreleased", commit that, and run `make release` again."""
PUBLISH = """To publish exactly these files:

    git tag -a v{0} -m "onechannel {0}" && git push origin v{0}
    python -m twine upload dist/onechannel-{0}.tar.gz dist/onechannel-{0}-py3-none-any.whl
    npm publish ./dist/onechannel-{0}.tgz"""


def main(arguments: list[str]) -> None:
    version, date, changes = read_release(ROOT)
    if arguments == ["--check"]:
        print(f"onechannel {version}, {date}\n\n{changes}")
        return
    refuse_changes(ROOT, ".", remedy="commit or remove them")
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "onechannel")
    consumers = ("-m", "pytest", "tests/consumers", "-n", "4", "--dist", "loadscope")
    run(sys.executable, *consumers, RELEASE=str(DIST))
    print(f"\nonechannel {version}, {date}\n\n{changes}\n")
    for path in sorted(DIST.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}")
    print(f"\n{UNDATED if date == 'unreleased' else PUBLISH.format(version)}")


def read_release(root: Path) -> tuple[str, str, str]:
    """Return the version, its date or "unreleased", and its changes.

    Raises:
        SystemExit: the files disagree about the version. The text says what each has.
    """
    newest = NEWEST.search(read(root, "CHANGELOG.md"))
    if newest is None:
        raise SystemExit("CHANGELOG.md has no section like `## 1.2.3, 2030-01-31`")
    package = re.search(
        r'^__version__ = "(.+)"$', read(root, "transport/__init__.py"), re.MULTILINE
    )
    versions = {
        "CHANGELOG.md": newest[1],
        "pyproject.toml": tomllib.loads(read(root, "pyproject.toml"))["project"]["version"],
        "transport.__version__": package and package[1],
        "client_js/package.json": json.loads(read(root, "client_js/package.json"))["version"],
    }
    if len(set(versions.values())) != 1:
        found = ", ".join(f"{name} has {version}" for name, version in versions.items())
        raise SystemExit(f"all packages of a release have one version: {found}")
    return newest[1], newest[2], newest[3].strip()


def read(root: Path, name: str) -> str:
    return (root / name).read_text("utf-8")


def build(copy: Path) -> None:
    """Build sdist, wheel and npm package into `DIST`, from a copy of the last commit."""
    run("git", "clone", "--quiet", "--no-local", str(ROOT), str(copy))
    run(sys.executable, "-m", "build", "--outdir", str(DIST), folder=copy)
    (copy / "client_js/node_modules").symlink_to(ROOT / "client_js/node_modules")
    run("node", "client_js/build.mjs", folder=copy)
    refuse_changes(copy, "transport/static", remedy="run `make client`, and commit the result")
    run("npm", "pack", "--silent", "--pack-destination", str(DIST), folder=copy / "client_js")


def refuse_changes(root: Path, path: str, *, remedy: str) -> None:
    """Raise SystemExit if there are files below ``path`` that are not as committed."""
    command = ("git", "status", "--porcelain", "--", path)
    changed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    if changed:
        raise SystemExit(f"{changed}these files are not as committed: {remedy}")


def run(*command: str, folder: Path = ROOT, **environment: str) -> None:
    """Run a command, and raise SystemExit if it fails."""
    print("==", *command, flush=True)
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=False)
    if done.returncode:
        raise SystemExit(f"failed with status {done.returncode}: {' '.join(command)}")


if __name__ == "__main__":
    main(sys.argv[1:])
