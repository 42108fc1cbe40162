"""Faults on the wire, over raw sockets: nothing is lost, leaked, hanging or shown."""

import pytest

# Its assertions are as detailed as those of a test.
pytest.register_assert_rewrite("tests.faults.checks")
