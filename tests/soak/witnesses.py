"""Where a leak becomes visible: the event loop's tasks, and the sockets and the memory of this process."""

from __future__ import annotations

import asyncio

import psutil
import trio


def living_tasks() -> int:
    if trio.lowlevel.in_trio_run():
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def sockets_to(port: int) -> int:
    """How many sockets of this process are connected to a port, or were connected and are not closed yet."""
    connections = psutil.Process().net_connections(kind="tcp")
    return sum(bool(each.raddr) and each.raddr.port == port for each in connections)


def resident_megabytes() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20
