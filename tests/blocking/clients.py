"""Blocking clients whose responses are made by a function, and fresh interpreters that use them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from chartmogul_async.blocking import Client
from tests.clients import KEY, AsyncHandler, Handler

RANGE = ("2023-07-01", "2023-07-31")
ROOT = Path(__file__).parents[2]
# Python 3.12 and later warn of any fork while threads run.
WARNINGS = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]


def blocking_client(handler: Handler | AsyncHandler, **options: Any) -> Client:
    """A client whose own connections are replaced by a function; retry and throttle are the real ones."""
    return Client(KEY, transport=httpx.MockTransport(handler), **options)


def in_a_fresh_interpreter(code: str, *arguments: str) -> str:
    """What it prints. Any warning is an error, and nothing may be written to stderr."""
    ran = subprocess.run(
        [sys.executable, *WARNINGS, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout
