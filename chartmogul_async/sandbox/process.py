"""The sandbox in a process of its own, so that it and its client do not share an interpreter, nor a core."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, TextIO

from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.faults import Faults
from chartmogul_async.sandbox.limits import Limits
from chartmogul_async.sandbox.sandbox import Sandbox

_CHILD = "import sys; from chartmogul_async.sandbox.process import child; child(sys.stdin.buffer, sys.stdout)"
_PATIENCE = 10  # seconds for the child to end by itself


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
    """Serve a sandbox made of these arguments from a subprocess and give its URL, which ends in ``/v1``.

    The company is copied: what is booked into it afterwards stays here. Read the counters with ``GET
    /sandbox/counters`` on the same host and port. The subprocess ends with the block, and also if this
    process dies.

    Needs the extra ``sandbox``. Raises ``RuntimeError`` if the subprocess does not come up; it says why on
    stderr.
    """
    told = {
        "company": company,
        "api_key": api_key,
        "limits": limits,
        "faults": faults,
        "latency": latency,
        "latency_per_entry": latency_per_entry,
    }
    process = subprocess.Popen(  # noqa: S603  our own interpreter and a fixed line of code
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },  # what can be imported here can be there
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(pickle.dumps((told, host, port)))
            process.stdin.flush()
            url = process.stdout.readline().decode().strip()
            if not url:
                raise RuntimeError(f"the sandbox's process ended with status {process.wait()}")
            yield url
        finally:
            process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def child(stdin: BinaryIO, stdout: TextIO) -> None:
    """Serve what ``stdin`` describes, tell the URL on ``stdout``, and go on until ``stdin`` ends."""
    from chartmogul_async.sandbox.server import Server

    told, host, port = pickle.load(stdin)  # noqa: S301  from our own parent
    server = Server(Sandbox(**told), host, port, lambda url: print(url, file=stdout, flush=True))

    def watch() -> None:
        stdin.read()
        server.stop()

    threading.Thread(target=watch, daemon=True).start()
    server.listen()
