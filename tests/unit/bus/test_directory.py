"""Where workers find each other: what they have in common, and who else may enter."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from transport.bus.directory import Directory


@pytest.fixture(autouse=True)
def temporary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files."""
    monkeypatch.delenv("ONECHANNEL_WORKERS", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_directory_is_shared_by_children_of_one_parent() -> None:
    first, second = Directory("app:chat"), Directory("app:chat")
    assert (first.path, first.secret, first.tag) == (second.path, second.secret, second.tag)
    assert first.name != second.name
    assert re.fullmatch(r"[0-9a-f]{12}", first.name)
    assert second.is_ours(first.name)


def test_directory_of_other_hub_differs() -> None:
    first, second = Directory("app:chat"), Directory("app:news")
    assert first.path != second.path
    assert first.secret != second.secret
    assert not second.is_ours(first.name)


def test_directory_of_other_working_directory_differs(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Directory("app:chat")
    monkeypatch.chdir(temporary)
    assert Directory("app:chat").path != first.path


def test_directory_of_other_parent_differs(temporary: Path) -> None:
    here = Directory("app:chat")
    code = (
        f"import tempfile; tempfile.tempdir = {str(temporary)!r}\n"
        "from transport.bus.directory import Directory; print(Directory('app:chat').path)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert Path(child.stdout.strip()).parent == here.path.parent
    assert Path(child.stdout.strip()) != here.path


def test_reused_parent_id_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Directory("app:chat")
    monkeypatch.setattr("transport.bus.directory._identity", lambda pid: f"{pid} 1")
    assert Directory("app:chat").path != first.path


def test_named_directory_is_shared_by_all(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_argument = Directory("app:chat", temporary / "app")
    monkeypatch.setenv("ONECHANNEL_WORKERS", str(temporary / "app"))
    monkeypatch.setattr("os.getppid", lambda: 1)
    monkeypatch.chdir(temporary)
    by_variable = Directory("app:chat")
    assert by_variable.path == by_argument.path
    assert by_variable.secret == by_argument.secret


def test_directory_is_private(temporary: Path) -> None:
    directory = Directory("app:chat")
    for path in (directory.path, directory.path.parent):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (directory.path / "secret").stat().st_mode & 0o777 == 0o600
    assert len(directory.secret) == 32
    assert sorted(file.name for file in directory.path.iterdir()) == ["parent", "secret"]


@pytest.mark.parametrize("which", ["above", "itself"])
def test_directory_that_others_may_write_is_refused(which: str) -> None:
    path = Directory("app:chat").path
    (path.parent if which == "above" else path).chmod(0o755)
    with pytest.raises(RuntimeError, match="mode 0700, and it is drwxr-xr-x") as raised:
        Directory("app:chat")
    assert 'Workers("/run/app")' in str(raised.value)


def test_system_without_temporary_directory_names_the_cure(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container with a read-only root file system."""
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(temporary / "missing")])
    with pytest.raises(RuntimeError, match="No usable temporary directory") as raised:
        Directory("app:chat")
    assert 'Workers("/run/app")' in str(raised.value)
    assert Directory("app:chat", temporary / "app").path.exists()


def test_directory_that_is_a_link_is_refused(temporary: Path) -> None:
    path = Directory("app:chat").path
    path.rename(temporary / "elsewhere")
    path.symlink_to(temporary / "elsewhere")
    with pytest.raises(RuntimeError, match="it is lrwxrwxrwx"):
        Directory("app:chat")


def test_directory_of_another_user_is_refused(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Directory("app:chat", temporary / "app")
    user = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: user + 1)
    with pytest.raises(RuntimeError, match=f"of user {user}:"):
        Directory("app:chat", temporary / "app")


def test_long_path_is_refused(temporary: Path) -> None:
    with pytest.raises(RuntimeError, match=r"103\. Name a directory with a shorter path"):
        Directory("app:chat", temporary / ("x" * 100))


def test_removed_directory_is_written_again_with_same_secret() -> None:
    first, second = Directory("app:chat"), Directory("app:chat")
    (first.path / "secret").unlink()
    second.keep()
    assert (first.path / "secret").read_bytes() == first.secret
    for file in first.path.iterdir():
        file.unlink()
    first.path.rmdir()
    first.keep()
    assert Directory("app:chat").secret == first.secret


def test_directories_of_supervisors_that_are_gone_are_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Directory("app:chat").path
    with subprocess.Popen(["sleep", "0"]) as gone, monkeypatch.context() as patch:
        patch.setattr("os.getppid", lambda: gone.pid)
        abandoned = Directory("app:chat").path
        (abandoned / "0123456789ab.sock").touch()
    assert abandoned.exists()
    Directory("app:news")
    assert not abandoned.exists()
    assert kept.exists()


@pytest.mark.parametrize("content", [b"", b"short"])
def test_secret_that_is_cut_is_replaced(content: bytes) -> None:
    path = Directory("app:chat").path / "secret"
    path.write_bytes(content)
    first, second = Directory("app:chat"), Directory("app:chat")
    assert len(first.secret) == 32
    assert first.secret == second.secret == path.read_bytes()


def test_secret_that_was_replaced_is_reported() -> None:
    directory = Directory("app:chat")
    (directory.path / "secret").write_bytes(b"x" * 32)
    with pytest.raises(RuntimeError, match="restart all workers"):
        directory.keep()


def test_what_a_worker_leaves_is_kept_for_its_time() -> None:
    first, later = Directory("app:chat"), Directory("app:chat")
    now = time.time()
    first.leave(first.name, b"how sessions ended", now + 600)
    [file] = first.path.glob("*.ended")
    assert file.stat().st_mode & 0o777 == 0o600
    assert later.left(first.name) == b"how sessions ended"
    assert later.left(later.name) is None
    assert later.names() == set()
    later.forget()
    assert file.exists()
    first.leave(first.name, b"how sessions ended", now - 1)
    assert later.left(first.name) is None
    later.forget()
    assert not file.exists()


def test_parent_file_that_is_empty_is_skipped() -> None:
    other = Directory("app:chat").path.with_name("0123456789abcdef")
    other.mkdir(0o700)
    (other / "parent").touch()
    Directory("app:chat")
    assert other.exists()


def test_directory_of_a_hidden_supervisor_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is not visible from this container, but a worker accepts."""
    with monkeypatch.context() as patch:
        patch.setattr("transport.bus.directory._identity", lambda pid: f"{pid} elsewhere")
        hidden = Directory("app:chat")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(hidden.socket(hidden.name)))
        one.listen()
        Directory("app:news")
        assert hidden.path.exists()
    Directory("app:news")
    assert not hidden.path.exists()


def test_parents_of_a_named_directory_are_not_open_to_all(temporary: Path) -> None:
    before = os.umask(0)
    try:
        Directory("app:chat", temporary / "run" / "app" / "w")
    finally:
        os.umask(before)
    modes = [(temporary / each).stat().st_mode & 0o777 for each in ("run", "run/app", "run/app/w")]
    assert modes == [0o755, 0o755, 0o700]


def test_system_without_unix_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.getuid")
    with pytest.raises(RuntimeError, match="start the server with one worker"):
        Directory("app:chat")
