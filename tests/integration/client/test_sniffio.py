"""The client with and without sniffio, which anyio and httpcore use only if it is installed.

It comes with many other packages. The other tests run with it, as the extra ``dev`` installs it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sniffio

ROOT = Path(__file__).parents[3]
CASES = "(echoed or reconnect or leaving_block or native) and not websocket"


async def test_sniffio_is_installed_for_the_other_tests() -> None:
    assert sniffio.current_async_library() == "asyncio"


@pytest.mark.timeout(300)
def test_client_tests_pass_without_sniffio() -> None:
    """In a process of its own, in which it cannot be imported."""
    code = (
        "import sys; sys.modules['sniffio'] = None\n"
        "import pytest; code = pytest.main(sys.argv[1:])\n"
        "import anyio._core._eventloop; assert anyio._core._eventloop.sniffio is None\n"
        "sys.exit(code)"
    )
    files = [f"tests/integration/client/test_{name}.py" for name in ("connect", "close")]
    ran = subprocess.run(
        [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider", "-k", CASES, *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
