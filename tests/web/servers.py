"""Web apps in uvicorn: in a thread of this process, and the programs of docs/examples in processes of their own."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import uvicorn

from chartmogul_async import AsyncClient

from .apps import APPS, Pages

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples"
PROGRAMS = ["fastapi_app", "starlette_app", "litestar_app"]
on_unix = pytest.mark.skipif(sys.platform == "win32", reason="a FileStore needs locks that Windows does not have")


def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens elsewhere; how long it takes is no matter."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@contextmanager
def in_a_thread(framework: str, url: str, http: str) -> Iterator[tuple[tuple[str, int], Pages]]:
    """Serve the pages of the tests, whose client talks to a sandbox."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=200)
    ready: SimpleQueue[tuple[uvicorn.Server, Pages]] = SimpleQueue()

    async def serve() -> None:
        async with AsyncClient("sandbox", base_url=url) as client:
            pages = Pages(client)
            app = APPS[framework](pages)
            server = uvicorn.Server(uvicorn.Config(app, http=http, lifespan="off", log_config=None))
            ready.put((server, pages))
            await server.serve(sockets=[listening])

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    server, pages = ready.get(timeout=30)
    try:
        yield listening.getsockname()[:2], pages
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def settings(url: str, folder: Path, key: str = "sandbox") -> dict[str, str]:
    """The environment of a program: the sandbox, and a folder of its own for the shared limits."""
    return {"CHARTMOGUL_BASE_URL": url, "CHARTMOGUL_API_KEY": key, "TMPDIR": str(folder)}


@contextmanager
def example(name: str, environment: dict[str, str], workers: int = 4) -> Iterator[str]:
    """Run one of the programs as its docstring says; gives its address."""
    command = [sys.executable, "-m", "uvicorn", f"{name}:app", "--workers", str(workers), "--port", "0"]
    process: subprocess.Popen[str] = subprocess.Popen(
        [*command, "--no-access-log"],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=_read, args=(process, lines))
    reader.start()
    try:
        until(lambda: process.poll() is not None or (_address(lines) and _started(lines) == workers))
        address = _address(lines)
        assert address, "".join(lines)
        yield address
    finally:
        process.terminate()
        process.wait(30)
        reader.join()
        assert process.stderr is not None
        process.stderr.close()
    assert "Traceback" not in "".join(lines), "".join(lines)


def _read(process: Any, lines: list[str]) -> None:
    for line in process.stderr:
        lines.append(line)


def _address(lines: list[str]) -> str | None:
    found = re.search(r"running on (http://[\d.:]+)", "".join(lines))
    return found[1] if found else None


def _started(lines: list[str]) -> int:
    return sum("Application startup complete" in line for line in lines)
