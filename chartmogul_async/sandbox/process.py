"""The sandbox in a subprocess, so that it shares neither an interpreter nor a core with its client."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TextIO

from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.faults import Faults
from chartmogul_async.sandbox.limits import Limits
from chartmogul_async.sandbox.sandbox import Sandbox, check_address, check_options

_CODE = "import sys; from chartmogul_async.sandbox.process import run_child; run_child(sys.stdin.buffer, sys.stdout)"
# Seconds for the subprocess to end by itself before it is killed.
_EXIT_TIMEOUT = 10


@contextmanager
def serve_in_subprocess(
    company: Company | None = None,
    *,
    api_key: str = "sandbox",
    limits: Limits = Limits(),
    faults: Faults = Faults(),
    latency: float = 0.0,
    latency_per_entry: float = 0.0,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[str]:
    """Serve a sandbox from a subprocess. Needs the extra ``sandbox``.

    The company is copied: later bookings in this process do not reach the subprocess. The counters are at ``GET
    /sandbox/counters`` on the same host and port. The subprocess ends with the block, and also if this process dies.

    Args:
        company: See ``Sandbox``.
        api_key: See ``Sandbox``.
        limits: See ``Sandbox``.
        faults: See ``Sandbox``.
        latency: See ``Sandbox``.
        latency_per_entry: See ``Sandbox``.
        host: The address to listen on.
        port: The port; 0 is any free one.

    Returns:
        Gives the URL, as a context manager; it ends in ``/v1``.

    Raises:
        ArgumentError: An argument is invalid.
        ImportError: The extra is not installed.
        RuntimeError: The subprocess did not start; its stderr contains the reason. Or this is a program that was
            frozen, as by PyInstaller, and that has no interpreter for a subprocess.
    """
    options: dict[str, Any] = {
        "company": company,
        "api_key": api_key,
        "limits": limits,
        "faults": faults,
        "latency": latency,
        "latency_per_entry": latency_per_entry,
    }
    # Otherwise an invalid argument would only show as a failure of the subprocess.
    check_options(**options)
    check_address(host, port)
    # Nor would a missing extra show where it is noticed.
    from chartmogul_async.sandbox import server  # noqa: F401 - to see whether it can be imported

    if getattr(sys, "frozen", False):
        # It would start this program again, and that one the next.
        raise RuntimeError("a frozen program has no interpreter for a subprocess; use Sandbox(…).serve()")
    # The subprocess can import whatever this process can.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and constant code
        [sys.executable, "-c", _CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # One that has ended says nothing below.
            with suppress(BrokenPipeError):
                process.stdin.write(pickle.dumps((options, host, port)))
                process.stdin.flush()
            url = process.stdout.readline().decode().strip()
            if not url:
                raise RuntimeError(f"the subprocess of the sandbox ended with status {process.wait()}")
            yield url
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(_EXIT_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()


def run_child(stdin: BinaryIO, stdout: TextIO) -> None:
    """Serve in the subprocess until ``stdin`` ends.

    Args:
        stdin: Starts with the pickled options of the sandbox, the host and the port.
        stdout: Where the URL is printed.
    """
    from chartmogul_async.sandbox.server import Server

    options, host, port = pickle.load(stdin)  # noqa: S301 - from our own parent
    server = Server(Sandbox(**options), host, port, lambda url: print(url, file=stdout, flush=True))

    def stop_at_end_of_input() -> None:
        stdin.read()
        server.stop()

    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    server.listen()
