"""`make release`: what it checks before it builds. `tests/consumers` try what it builds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import transport

ROOT = Path(__file__).parents[2]
FILES = ("CHANGELOG.md", "pyproject.toml", "transport/__init__.py", "client_js/package.json")


def check(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the check of the script in a folder."""
    command = (sys.executable, "scripts/release.py", "--check")
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the files that have the version."""
    for name in (*FILES, "scripts/release.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_release_check_prints_newest_changes() -> None:
    done = check(ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    first, _, rest = done.stdout.partition("\n\n")
    assert re.fullmatch(rf"onechannel {transport.__version__}, (unreleased|\d{{4}}-.*)", first)
    assert rest.strip() in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("name", FILES)
def test_release_of_two_versions_is_refused(copy: Path, name: str) -> None:
    replace(copy / name, transport.__version__, "0.9.9")
    done = check(copy)
    assert done.returncode == 1
    assert done.stderr.startswith("all packages of a release have one version: ")
    assert f"{name.replace('/__init__.py', '.__version__')} has 0.9.9" in done.stderr


def test_release_prints_only_its_own_changes(copy: Path) -> None:
    replace(
        copy / "CHANGELOG.md",
        "## ",
        f"## {transport.__version__}, 2030-01-31\n\n- Only this.\n\n## ",
    )
    assert check(copy).stdout == f"onechannel {transport.__version__}, 2030-01-31\n\n- Only this.\n"


def test_release_without_changelog_section_is_refused(copy: Path) -> None:
    (copy / "CHANGELOG.md").write_text("# Changelog\n", "utf-8")
    assert check(copy).stderr == "CHANGELOG.md has no section like `## 1.2.3, 2030-01-31`\n"


def test_release_of_changed_files_is_refused(copy: Path) -> None:
    """Before anything is built."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "all")):
        subprocess.run(("git", *command), cwd=copy, check=True)
    (copy / "new.py").touch()
    command = (sys.executable, "scripts/release.py")
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "?? new.py\nthese files are not as committed: commit or remove them\n"
