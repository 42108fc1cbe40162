"""What one side of a comparison measures of itself, in its own process.

Only the standard library is imported here, so that a side's memory and imports are its own.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

Reading = dict[str, float]
"""What a side found: ``seconds`` and ``cpu`` always, and whatever else is asked about."""

_GLANCE = 0.001  # seconds between two looks of the stall watch
_PROC = Path("/proc/self")


class Stopwatch:
    """Times a block: wall seconds, CPU seconds of this process (user and system), and the bytes by which the
    process grew beyond its size at the start of the block.
    """

    def __enter__(self) -> Self:
        gc.collect()
        self._peak = _fresh_peak()
        self._cpu = time.process_time()
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        self.cpu = time.process_time() - self._cpu
        self.memory = _peak_memory() - self._peak

    def reading(self, *, repeats: int = 1, **more: float) -> Reading:
        """The readings, by repeat where the block did its work several times."""
        return {"seconds": self.seconds / repeats, "cpu": self.cpu / repeats, "memory": self.memory, **more}


def _fresh_peak() -> int:
    """The peak from now on, where the system can forget the one before."""
    with suppress(OSError):
        (_PROC / "clear_refs").write_text("5", encoding="ascii")
    return _peak_memory()


def _peak_memory() -> int:
    """Bytes. Linux's ru_maxrss would also count the parent as it was when it started this process.

    macOS has no such file, and gives ru_maxrss in bytes.
    """
    with suppress(OSError):
        for line in (_PROC / "status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class StallWatch:
    """Notes the longest time, in seconds, for which the event loop let a task wait that was due. To be read after
    the block, for a stall at its very end is seen only then.
    """

    longest = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0)  # so that it looks from the very start
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.sleep(2 * _GLANCE)
        self._task.cancel()

    async def _watch(self) -> None:
        while True:
            due = time.perf_counter() + _GLANCE
            await asyncio.sleep(_GLANCE)
            self.longest = max(self.longest, time.perf_counter() - due)
