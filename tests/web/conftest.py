from __future__ import annotations

from collections.abc import Iterator

import pytest

from chartmogul_async.sandbox import Sandbox

from .servers import PROGRAMS, example, settings

Site = tuple[Sandbox, str, str]


@pytest.fixture(scope="module", params=PROGRAMS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A sandbox, where it is, and where a program shows its figures."""
    sandbox = Sandbox()
    folder = tmp_path_factory.mktemp("limits")
    with sandbox.serve() as url, example(request.param, settings(url, folder)) as address:
        yield sandbox, url, address
