"""The demonstration on the real clock. nox runs this module alone, after all others: they would delay its requests."""

from __future__ import annotations

import re

import pytest

from tests.cli.test_process import process


def test_the_demonstration_keeps_the_real_limits(process_environment: dict[str, str]) -> None:
    """In one of three attempts: a busy machine delays requests on their way to the server, which then refuses some."""
    refusals = []
    for _ in range(3):
        ran = process({**process_environment, "PYTHONIOENCODING": "ascii"}, "demo")
        assert ran.returncode == 0
        assert "\x1b" not in ran.stdout
        assert ran.stdout.isascii()
        match = re.search(r"refusals (\d+), peak parallel (\d+)$", ran.stdout)
        assert match is not None
        assert 1 < int(match[2]) <= 20
        assert max(map(len, ran.stdout.splitlines())) <= 80
        if (match[1], ran.stderr) == ("0", "a page on the company: chartmogul demo --report demo.html\n"):
            return
        refusals.append(ran.stderr)
    pytest.fail("".join(refusals))
