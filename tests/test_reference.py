"""The reference has every public name."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

import chartmogul_async
from chartmogul_async import blocking, sandbox

PAGES = Path(__file__).parent.parent / "docs" / "reference"
TEXT = "".join(page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.md")))
REFERRED = set(re.findall(r"\.\. auto(?:class|function|module):: ([\w.]+)", TEXT))
# These come with the modules that they live in.
WITH_THEIR_MODULES = {"ChartMogulError": "errors", "Filter": "cfl"}


@pytest.mark.parametrize("module", [chartmogul_async, blocking, sandbox], ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    # Names of types are explained where they are used.
    named = {name for name in module.__all__ if isinstance(getattr(module, name), type | ModuleType)}
    places = {f"{module.__name__}.{WITH_THEIR_MODULES.get(name, name)}" for name in named}
    assert sorted(places - REFERRED) == []
