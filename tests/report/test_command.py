"""``chartmogul report``: a file that is there whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chartmogul_async.cli import failures, files
from chartmogul_async.cli.commands import program
from chartmogul_async.cli.failures import CommandError
from chartmogul_async.sandbox import Company, Limits, Sandbox

pytestmark = pytest.mark.sockets


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Sandbox(Company(customers=20, today=date(2025, 6, 15)), limits=Limits(per_second=None)).serve() as url:
        yield url


def run(url: str, *arguments: str) -> Result:
    settings = {"CHARTMOGUL_API_KEY": "sandbox", "CHARTMOGUL_BASE_URL": url}
    return CliRunner().invoke(program, ["report", *arguments], env=settings)


def test_a_page_is_written(url: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")
    result = run(url, "--out", str(path), "--months", "3")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"wrote {path}\n")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_must_exist_before_anything_is_fetched(tmp_path: Path) -> None:
    result = run("http://127.0.0.1:1/v1", "--out", str(tmp_path / "none" / "report.html"))
    assert result.exit_code == 2
    assert "must be in a folder that exists, not" in result.stderr


def test_too_many_months_are_a_mistake_in_the_option(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "sandbox")
    monkeypatch.setenv("CHARTMOGUL_BASE_URL", url)
    place = tmp_path / "report.html"
    assert failures.run(program, ["report", "--out", str(place), "--months", "1201"]) == 2
    assert "--months must be an integer from 1 to 1200, not 1201" in capsys.readouterr().err
    assert not place.exists()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CommandError, match=r"cannot write to .*report.html: No space left on device"):
        files.replace(path, b"after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
