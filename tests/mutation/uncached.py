"""A plugin that empties the caches of the package before each test.

What is cached was made without the mutation; and a test that finds something in a cache would seem not to need the
function that made it.
"""

from __future__ import annotations

import sys


def pytest_runtest_setup() -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "chartmogul_async":
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
