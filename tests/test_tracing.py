"""The coverage run is no slower than it must be; without one, nothing is traced at all."""

from __future__ import annotations

import sys

import pytest


@pytest.mark.no_cover
def test_what_need_not_be_covered_is_not_traced() -> None:
    assert sys.gettrace() is None
