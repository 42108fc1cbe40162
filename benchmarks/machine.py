"""Where a measurement was made: the machine, the versions, and how busy the machine was."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "chartmogul-async",
    "httpx",
    "httpcore",
    "anyio",
    "attrs",
    "cattrs",
    "tenacity",
    "orjson",
    "httpx2",
    "aiohttp",
    "chartmogul",
    "aiolimiter",
    "pyrate-limiter",
    "uvloop",
    "httptools",
)


def description() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_before": round(os.getloadavg()[0], 2),
        "versions": dict(_versions()),
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> list[tuple[str, str]]:
    versions = []
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions.append((name, version(name)))
    return versions
