"""What it costs to ask for a slot and to give it back, where nobody else asks."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.measure import Reading

_ACCOUNTS = 50
# As many as one account admits at once, without the first one, which opens the file.
_ADMISSIONS = 38


async def by_file(pause: float) -> Reading:
    """The mean of many admissions in a process with a ``FileStore``, so many seconds apart."""
    import anyio

    from chartmogul_async import FileStore
    from chartmogul_async.transport.shared import SharedQueue

    admitting = releasing = 0.0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = FileStore(Path(folder) / "limits")
        for account in map(str, range(_ACCOUNTS)):
            queue = SharedQueue(store, account, per_second=40, parallel=20)
            await queue.end(await queue.acquire(), status=200)
            for _ in range(_ADMISSIONS):
                await anyio.sleep(pause)
                asked = time.process_time()
                permit = await queue.acquire()
                admitted = time.process_time()
                await queue.end(permit, status=200)
                admitting += admitted - asked
                releasing += time.process_time() - admitted
            store.release(account)
    count = _ACCOUNTS * _ADMISSIONS
    return {
        "seconds": (time.perf_counter() - began) / count,
        "cpu": admitting / count,
        "release": releasing / count,
    }
