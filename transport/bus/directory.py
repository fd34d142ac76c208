"""`Directory`: where the workers of one server find each other, without configuration.

It is ``<temporary directory>/onechannel-<uid>/<key>/``, and has one socket for each worker, named
for it, and a secret. The key is made of what the workers of one supervisor have in common, so they
meet, and other applications of the same user do not. A directory can be named instead, for workers
that have different parents.

Whoever can write there can impersonate any session. So both directories belong to the user and
nobody else may enter them.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from transport.bus.interface import NAME_LENGTH

VARIABLE = "ONECHANNEL_WORKERS"
"""The environment variable that names the directory."""

_LONGEST_SOCKET = 103
"""Bytes of a socket's path on macOS, which takes the shortest."""

_SUFFIX = ".sock"
_LEFT = ".ended"
_SECRET_LENGTH = 32
_PARENT = "parent"
_SECRET = "secret"

_is_name = re.compile(rf"[0-9a-f]{{{NAME_LENGTH}}}").fullmatch


class Directory:
    """The directory of the workers of one hub. It is created if necessary.

    Args:
        hub: the name of the hub.
        path: the directory above it, if it is named.

    Attributes:
        path: of the directory.
        secret: 32 bytes that the workers share.
        name: of this process: the first 4 hexadecimal digits are those of `tag`, the other 8 are
            random.

    Raises:
        RuntimeError: it cannot be used; the message says why, and what to do.
    """

    def __init__(self, hub: str, path: str | os.PathLike[str] | None = None) -> None:
        if not hasattr(os, "getuid"):
            raise RuntimeError(
                "Workers needs Unix sockets, which asyncio does not have on this system: start the "
                "server with one worker, and the hub without Workers()"
            )
        parent = _identity(os.getppid())
        named = path or os.environ.get(VARIABLE)
        if named:
            above = Path(named).absolute()
            key = _hash(hub)
        else:
            above = _temporary() / f"onechannel-{os.getuid()}"
            key = _hash(parent, str(Path.cwd()), hub)
        self.path = above / key
        longest = len(os.fsencode(self.path)) + 1 + NAME_LENGTH + len(_SUFFIX)
        if longest > _LONGEST_SOCKET:
            raise RuntimeError(
                f"the path of a socket in {self.path} would have {longest} bytes, and some systems "
                f"take {_LONGEST_SOCKET}. Name a directory with a shorter path: "
                f'Workers("/run/app"), or the variable {VARIABLE}'
            )
        for directory in (above, self.path):
            _make_private(directory)
        self.secret = self._share_secret(secrets.token_bytes(_SECRET_LENGTH))
        if not named:
            self._share(_PARENT, parent.encode())
            _remove_abandoned(above)
        self.tag = hashlib.sha256(self.secret).hexdigest()[:4]
        self.name = self.tag + secrets.token_hex((NAME_LENGTH - len(self.tag)) // 2)

    def socket(self, name: str) -> Path:
        """Return the path of a worker's socket."""
        return self.path / f"{name}{_SUFFIX}"

    def names(self) -> set[str]:
        """Return the names of the workers that have a socket, this one included."""
        with suppress(OSError):
            return {file.stem for file in self.path.iterdir() if _is_socket_name(file.name)}
        return set()

    def is_ours(self, name: str) -> bool:
        """Return whether a name is one of this directory's workers, present or past."""
        return name.startswith(self.tag) and _is_name(name) is not None

    def leave(self, name: str, data: bytes, until: float) -> None:
        """Keep what a worker leaves to the others.

        Args:
            name: of the worker.
            data: what it leaves.
            until: the Unix time until which it is kept.

        Raises:
            OSError: it cannot be written.
        """
        path = self._left(name)
        draft = path.with_name(f".{name}-{secrets.token_hex(4)}")
        draft.touch(0o600)
        try:
            draft.write_bytes(data)
            os.utime(draft, (until, until))
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)

    def left(self, name: str) -> bytes | None:
        """Return what a worker has left, unless it was nothing, or the time is over."""
        with suppress(OSError):
            if self._left(name).stat().st_mtime > time.time():
                return self._left(name).read_bytes()
        return None

    def forget(self) -> None:
        """Remove what workers have left, and whose time is over."""
        with suppress(OSError):
            for file in self.path.glob(f"*{_LEFT}"):
                if file.stat().st_mtime <= time.time():
                    file.unlink(missing_ok=True)

    def _left(self, name: str) -> Path:
        return self.path / f"{name}{_LEFT}"

    def keep(self) -> None:
        """Write the directory and its secret again if something has removed them.

        Raises:
            RuntimeError: as the constructor; or the directory has another secret.
        """
        for directory in (self.path.parent, self.path):
            _make_private(directory)
        if self._share_secret(self.secret) != self.secret:
            raise RuntimeError(
                f"the file {self.path / _SECRET} was replaced, so the workers that have started "
                "since do not know the sessions of this one: restart all workers of the server"
            )

    def _share_secret(self, content: bytes) -> bytes:
        found = self._share(_SECRET, content)
        if len(found) != _SECRET_LENGTH:  # the machine has crashed while it was written
            (self.path / _SECRET).unlink(missing_ok=True)
            found = self._share(_SECRET, content)
        return found

    def _share(self, name: str, content: bytes) -> bytes:
        """Return the content of a file that all workers read, and write it if it is not there."""
        path = self.path / name
        with suppress(FileNotFoundError):
            return path.read_bytes()
        draft = self.path / f".{name}-{secrets.token_hex(4)}"
        draft.touch(0o600)
        try:
            draft.write_bytes(content)
            path.hardlink_to(draft)  # whole, and only if no other worker was faster
        except FileExistsError:
            return path.read_bytes()
        finally:
            draft.unlink()
        return content


def _is_socket_name(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _identity(pid: int) -> str:
    """Return a process's id and, where the system tells it, when it began.

    Process ids are used again; the two together are not.
    """
    with suppress(OSError):
        # The second field, the program's name, may contain spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return f"{pid} {fields[19]}"
    return str(pid)


def _temporary() -> Path:
    """Return the directory for temporary files.

    Raises:
        RuntimeError: the system has none, as a container with a read-only root file system.
    """
    try:
        return Path(tempfile.gettempdir()).absolute()
    except OSError as error:
        raise RuntimeError(
            f"the workers have no directory in which they find each other: {error}. Mount one, or "
            f'name one: Workers("/run/app"), or the variable {VARIABLE}'
        ) from error


def _make_private(path: Path) -> None:
    """Create a directory for this user alone, or check that it is one.

    Raises:
        RuntimeError: others could write there.
    """
    try:
        for above in reversed([each for each in path.parents if not each.exists()]):
            above.mkdir(0o755, exist_ok=True)
        path.mkdir(0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise RuntimeError(
            f"the directory {path}, in which workers find each other, cannot be made: {error}. "
            f'Name another one: Workers("/run/app"), or the variable {VARIABLE}'
        ) from error
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and mode == 0o700:
        return
    raise RuntimeError(
        f"{path} must be a directory of the user {os.getuid()} with mode 0700, and it is "
        f"{stat.filemode(found.st_mode)} of user {found.st_uid}: whoever can write there can "
        "impersonate any session. Correct or remove it, or name another one: "
        f'Workers("/run/app"), or the variable {VARIABLE}'
    )


def _remove_abandoned(above: Path) -> None:
    """Remove the directories of supervisors that are gone.

    One whose workers accept has a supervisor that is only not visible here, as from a container.
    """
    with suppress(OSError):
        for directory in above.iterdir():
            with suppress(OSError, ValueError, IndexError):
                parent = (directory / _PARENT).read_text()
                is_gone = _identity(int(parent.split()[0])) != parent
                if is_gone and not any(map(_accepts, directory.glob(f"*{_SUFFIX}"))):
                    for file in directory.iterdir():
                        file.unlink(missing_ok=True)
                    directory.rmdir()


def _accepts(path: Path) -> bool:
    """Return whether a process listens on a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.setblocking(False)
        try:
            one.connect(str(path))
        except BlockingIOError:
            return True  # its queue is full
        except OSError:
            return False
        return True
