"""What is published: the package's page, which is made of the README, and what the metadata ask for."""

from __future__ import annotations

import re
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page() -> str:
    """Of what is installed: the wheel in nox, and an editable installation as it was when it was made."""
    text = metadata("chartmogul-async").json["description"]
    assert isinstance(text, str)
    return text


def test_every_link_of_the_page_is_an_address(page: str) -> None:
    links = re.findall(r"\]\(([^)]*)\)", page)
    assert links
    assert [link for link in links if not link.startswith("https://")] == []


def test_the_page_shows_no_picture_that_is_not_there(page: str) -> None:
    assert "![" in README
    assert "![" not in page
    assert ".svg" not in page


def test_the_page_names_other_pages_as_files(page: str) -> None:
    files = re.findall(r"\(`([^`]+)` in the source distribution\)", page)
    assert files == [
        link for link in re.findall(r"(?<!!)\[[^\]]+\]\(([^)]*)\)", README) if "://" not in link and "svg" not in link
    ]
    assert all((ROOT / file).exists() for file in files)


def test_what_the_page_installs_is_the_package(page: str) -> None:
    assert "pip install 'chartmogul-async[cli]' && chartmogul demo" in page
    assert "the library alone is `pip install chartmogul-async`" in page
    assert not re.search(r"pip install '?\.", page), "there is no checkout to install"
    assert "pip install nox" not in page, "there is no checkout to check"


def test_the_rest_of_the_page_is_the_readme(page: str) -> None:
    assert len(page.splitlines()) >= len(README.splitlines()) - 10
    assert re.findall(r"(?m)^#+ .*", page) == re.findall(r"(?m)^#+ .*", README)


def test_private_parts_are_read_of_direct_dependencies_only() -> None:
    """What ``transport`` knows of httpcore and anyio depends on their versions, so they have floors of their own."""
    direct = {
        re.split(r"[^A-Za-z0-9_-]", item)[0] for item in requires("chartmogul-async") or [] if "extra ==" not in item
    }
    assert direct == {
        "aiohappyeyeballs",
        "anyio",
        "attrs",
        "cattrs",
        "httpcore",
        "httpx",
        "tenacity",
        "typing-extensions",
        "tzdata",
    }
