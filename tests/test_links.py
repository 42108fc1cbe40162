"""Every link of a page leads to a file of the project and to a heading in it, or to one of a few hosts."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "benchmarks/*.md", "docs/*.md", "docs/reference/*.md")
    for path in ROOT.glob(pattern)
)
# ChartMogul's own pages, Python's, and those of what an extra is for.
HOSTS = {"chartmogul.com", "dev.chartmogul.com", "peps.python.org", "opentelemetry.io", "dlthub.com"}


@cache
def prose_of(path: Path) -> str:
    """A page without its blocks of code, in which brackets are something else."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@cache
def anchors_of(path: Path) -> set[str]:
    """The anchors of the headings, as GitHub and the site make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,3} (.+)$", prose_of(path), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        found.add(next(name for name in (slug, *(f"{slug}-{n}" for n in range(1, 100))) if name not in found))
    return found


def links_of(page: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose_of(ROOT / page))


def test_all_pages_are_found() -> None:
    assert {"README.md", "docs/index.md", "docs/tutorial.md", "docs/reference/client.md"} <= set(PAGES)
    assert len(PAGES) > 30


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in links_of(page):
        if "://" in link:
            assert urlsplit(link).hostname in HOSTS, link
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target.resolve()), link


def test_the_readme_leads_to_every_page() -> None:
    linked = set(links_of("README.md"))
    assert [page for page in PAGES if re.fullmatch(r"docs/(?!index)[\w-]+\.md", page) and page not in linked] == []


def test_anchors_are_those_of_headings() -> None:
    assert {"one-entry-one-column", "data-frames-and-sql", "money"} <= anchors_of(ROOT / "docs" / "analysis.md")
    assert "one-page-is-missing" not in anchors_of(ROOT / "docs" / "analysis.md")
