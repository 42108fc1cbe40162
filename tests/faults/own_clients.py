"""Run by test_processes in a process of its own: ``python -m tests.faults.own_clients threads|fork LOOP URL``.

Only a process of its own can fork without other threads, or start threads before anything of the package is built
and cached. Errors are written to stderr.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import anyio

from chartmogul_async import AsyncClient
from tests.faults.loops import LOOPS

THREADS = 4


def fetch(client: AsyncClient, loop: str) -> int | float:
    async def main() -> int | float:
        async with client:
            return (await client.metrics.mrr("2023-07-01", "2023-07-31"))[0].mrr

    backend, options = LOOPS[loop]
    return anyio.run(main, backend=backend, backend_options=options)


def write(*figures: float) -> None:
    sys.stdout.write(" ".join(map(str, figures)))


def in_threads(loop: str, url: str) -> None:
    together = Barrier(THREADS)

    def of_one_thread(number: int) -> int | float:
        together.wait(10)
        return fetch(AsyncClient(f"key-of-thread-{number}", base_url=url), loop)

    with ThreadPoolExecutor(THREADS) as pool:
        write(*pool.map(of_one_thread, range(THREADS)))


def in_a_fork(loop: str, url: str) -> None:
    used, unused = (AsyncClient("key-of-the-parent", base_url=url) for _ in range(2))
    before = fetch(used, loop)
    with warnings.catch_warnings():
        if loop == "uvloop" and sys.version_info >= (3, 15):
            # Its threads are libuv's, of which Python warns since 3.15.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _as_a_child(loop, url)
    _, status = os.waitpid(child, 0)
    write(before, os.waitstatus_to_exitcode(status), fetch(unused, loop))


def _as_a_child(loop: str, url: str) -> None:
    code = 1
    try:
        code = 0 if fetch(AsyncClient("key-of-the-child", base_url=url), loop) else 1
    except BaseException:  # noqa: BLE001 - written to stderr, which must stay empty
        traceback.print_exc()
    finally:
        # No cleanup, which is the parent's.
        os._exit(code)


if __name__ == "__main__":
    {"threads": in_threads, "fork": in_a_fork}[sys.argv[1]](*sys.argv[2:])
