"""The programs of docs/workers.md, run as printed by the engines' own commands, against a sandbox."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "workers.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# What every program prints for the countries of its queries, with the figure of the sandbox.
FOUR_COUNTRIES = re.compile(r"\('US',\) \d+\n\('GB',\) \d+\n\('DE',\) \d+\n\('FR',\) \d+\n")


def block_with(text: str) -> str:
    (block,) = [block for block in BLOCKS if text in block]
    return block


class Place:
    """A folder with programs, and what they find in their environment."""

    def __init__(self, folder: Path, url: str, redis: str = "") -> None:
        self.folder = folder
        self._log = folder / "log.txt"
        self._settings = {
            "CHARTMOGUL_BASE_URL": url,
            "CHARTMOGUL_API_KEY": "sandbox",
            "REDIS_URL": redis,
            # Of a FileStore.
            "TMPDIR": str(folder),
            "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)]),
        }

    def write(self, name: str, program: str) -> None:
        (self.folder / name).write_text(program, encoding="utf-8")

    def run(self, *arguments: str) -> str:
        """What a program of Python prints; if it fails, its errors are shown."""
        process = self._start(*arguments)
        try:
            output, errors = process.communicate(timeout=100)
        finally:
            process.kill()
        assert process.returncode == 0, errors
        return output

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a program that waits for work until it is ended, with its child processes."""
        # What it logs goes to a file, so that it never waits for a reader.
        with self._log.open("w", encoding="utf-8") as file:
            process = self._start(*arguments, output=file.fileno())
        try:
            yield process
        except BaseException as error:
            error.add_note(self.log())
            raise
        finally:
            # As a service manager does; some engines leave it to the shell to tell their children.
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired as error:
                # Which of the processes did not end, and where, is not known otherwise.
                show_tasks(process.pid)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(3)
                error.add_note(self.log())
                raise
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def log(self) -> str:
        """What it logged so far."""
        return self._log.read_text(encoding="utf-8")

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a program beside the test."""
        process = self._start(*arguments)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def _start(self, *arguments: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | self._settings,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        )


# Written into the program of a worker: at this signal it logs where each of its tasks stands.
SHOW_TASKS = """
import asyncio
import gc
import signal
import sys
from inspect import isasyncgen


def show_tasks(*_):
    for task in asyncio.all_tasks(asyncio.get_event_loop()):
        print("task", task.get_name(), "asked to end", task.cancelling(), file=sys.stderr)
        waits = task.get_coro()
        while waits is not None:
            if type(waits).__name__ == "async_generator_asend":
                # It does not say itself which generator it advances.
                waits = next(filter(isasyncgen, gc.get_referents(waits)), None)
            kind = next((kind for kind in ("cr", "ag", "gi") if hasattr(waits, f"{kind}_frame")), "")
            frame = getattr(waits, f"{kind}_frame", None)
            print("   ", frame or waits, file=sys.stderr)
            waits = getattr(waits, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
    sys.stderr.flush()


signal.signal(signal.SIGUSR1, show_tasks)
"""


def show_tasks(pid: int) -> None:
    """Have the child processes of an engine log where their tasks stand; they must know ``SHOW_TASKS``."""
    for child in psutil.Process(pid).children():
        child.send_signal(signal.SIGUSR1)


def until(condition: Callable[[], object], *processes: subprocess.Popen[str]) -> None:
    """Wait for something that happens elsewhere, as long as these processes live."""
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        assert all(process.poll() is None for process in processes), "a program ended"
        # They run in real time.
        time.sleep(0.01)
