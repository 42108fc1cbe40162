"""What the benchmarks' server has counted, asked over HTTP. Only the standard library, for the sides use it too."""

from __future__ import annotations

import json
from urllib.parse import urlsplit
from urllib.request import urlopen


def read_counters(url: str, *, reset: bool = False) -> dict[str, float]:
    """Ask the server of an API's URL for its counters; with ``reset`` it begins anew, with fresh limits."""
    with urlopen(f"http://{urlsplit(url).netloc}/{'reset' if reset else 'counters'}") as answer:
        return json.load(answer)  # type: ignore[no-any-return]  # json gives Any
