"""Faults on the wire, over raw sockets: nothing is lost, leaked, hung or shown."""

import pytest

pytest.register_assert_rewrite("tests.faults.checks")  # its assertions tell as much as those of a test
