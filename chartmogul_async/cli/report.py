"""The command ``report``: one page on the account, as a file."""

from __future__ import annotations

from pathlib import Path

import click

from chartmogul_async.cli import files
from chartmogul_async.cli.failures import print_note
from chartmogul_async.cli.session import call


@click.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file; one that exists is replaced.",
)
@click.option(
    "--months",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="How many months, all of which are over.",
)
def report(out: Path, months: int) -> None:
    """Write one page on the account, for a browser or for paper.

    It shows MRR and its movements, trends, retention, plans and countries. The file is HTML that needs no network. A
    key that may not list plans or customers gets a page without them.
    """
    from chartmogul_async.report import fetch_report, render

    files.check_place(out, "--out")
    page = render(call(lambda client: fetch_report(client, months=months)))
    files.replace(out, page.encode(errors="backslashreplace"))
    print_note(f"wrote {out}")
