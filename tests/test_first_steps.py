"""What a first-time user meets: a forgotten argument and a forgotten ``await``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import respx

from chartmogul_async import AsyncClient, MetricQuery
from chartmogul_async.errors import ArgumentError
from tests.clients import client_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def client(api: respx.Router) -> AsyncClient:
    return client_of(api)


async def test_a_missing_end_date_is_named(client: AsyncClient) -> None:
    message = "end_date must be given with the day 2024-01-01: only a period such as '2024-Q1' has both ends"
    with pytest.raises(ArgumentError, match=re.escape(message)):
        await client.metrics.mrr("2024-01-01")
    with pytest.raises(ArgumentError, match=re.escape(message)):
        MetricQuery("mrr", "2024-01-01")


def test_a_forgotten_await_reads_as_the_readme_shows(client: AsyncClient) -> None:
    """The errors are Python's own."""
    series = client.metrics.mrr("2024-01-01", "2024-12-31")
    with pytest.raises(TypeError) as iterated:
        list(series)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError) as indexed:
        series[0]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    with pytest.raises(AttributeError) as read:
        _ = series.summary  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    series.close()
    with pytest.warns(RuntimeWarning, match=r"coroutine 'Metrics\.mrr' was never awaited"):
        client.metrics.mrr("2024-01-01", "2024-12-31")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    text = " ".join(README.split())
    assert f"`{iterated.value}`" in text
    assert str(indexed.value) == "'coroutine' object is not subscriptable"
    assert "`not subscriptable`" in text
    assert str(read.value).removeprefix("'coroutine' object ").removesuffix(" 'summary'") == "has no attribute"
    assert "`has no attribute 'summary'`" in text
    assert "`was never awaited`" in text


async def test_a_parameter_with_a_lone_surrogate_is_refused(client: AsyncClient) -> None:
    with pytest.raises(ArgumentError, match=r"^parameter name must be valid Unicode, without lone surrogates, not '"):
        await client.get("/plans", {"name": "\ud800"})


def test_the_project_claims_no_page_of_its_own() -> None:
    """Nothing is published, so nothing in the metadata may lead there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "urls" not in project
    assert "github.com" not in str(project)
