"""Where a leak becomes visible: the event loop's tasks, and the sockets and the memory of this process."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import psutil
import trio

_DESCRIPTORS = Path("/proc/self/fd")
# Linux's number of that state.
_SYN_SENT = 2


def living_tasks() -> int:
    if trio.lowlevel.in_trio_run():
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def sockets_to(port: int) -> int:
    """How many sockets of this process are connected to a port, or were connected and are not closed yet.

    Those that are still connecting, wherever to, are among them.
    """
    if not _DESCRIPTORS.exists():
        connections = psutil.Process().net_connections(kind="tcp")
        return sum(bool(each.raddr) and each.raddr.port == port for each in connections)
    # The table of all connections of a machine has thousands, of tests that are over, and takes milliseconds to read.
    return sum(_is_to(port, int(path.name)) for path in _DESCRIPTORS.iterdir())


def _is_to(port: int, descriptor: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        copy = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        # It was that of the folder, or another thread has closed it.
        return False
    with copy:
        if copy.family not in (socket.AF_INET, socket.AF_INET6) or copy.type != socket.SOCK_STREAM:
            return False
        try:
            return bool(copy.getpeername()[1] == port)
        except OSError:
            return copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _SYN_SENT


def resident_megabytes() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20
