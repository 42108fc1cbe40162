"""From errors to one line on stderr and an exit code that a script can act on."""

from __future__ import annotations

from collections.abc import Sequence

import click

from chartmogul_async import ChartMogulError, errors

USAGE = 2
KEY = 3
NOTHING_FOUND = 4
RATE_LIMIT = 5
SERVER = 6
INTERRUPTED = 130

MEANINGS = {
    0: "fine",
    1: "the reader of the output went away (| head), or a bug",
    USAGE: "wrong usage, or ChartMogul does not accept a parameter",
    KEY: "the API key is wrong, or may not do this",
    NOTHING_FOUND: "nothing found",
    RATE_LIMIT: "the account's rate limit, after several attempts",
    SERVER: "trouble with the server or the network",
    INTERRUPTED: "interrupted (Ctrl-C)",
}

_CODES: tuple[tuple[type[ChartMogulError], int], ...] = (
    (errors.UsageError, USAGE),
    (errors.BadRequestError, USAGE),
    (errors.ValidationError, USAGE),
    (errors.AuthenticationError, KEY),
    (errors.ForbiddenError, KEY),
    (errors.NotFoundError, NOTHING_FOUND),
    (errors.RateLimitError, RATE_LIMIT),
)


class CommandError(Exception):
    """Ends a command with a message and one of the exit codes."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: ChartMogulError) -> int:
    """The exit code for an error of the library."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), SERVER)


def one_line(text: str) -> str:
    """A text from elsewhere, fit for a terminal: on one line, and nothing in it can steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def run(program: click.Command, args: Sequence[str] | None) -> int:
    """Run a command line and give its exit code. A closed pipe ends it with code 1, without a word."""
    try:
        outcome = program.main(args, prog_name="chartmogul", standalone_mode=False)
    except click.UsageError as error:
        help_of = error.ctx.command_path if error.ctx else "chartmogul"
        _say(f"{error.format_message().rstrip('.')} (see '{help_of} --help')")
        return error.exit_code
    except click.ClickException as error:
        _say(error.format_message())
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except CommandError as error:
        _say(str(error))
        return error.code
    except ChartMogulError as error:
        _say(str(error))
        return code_of(error)
    return outcome if isinstance(outcome, int) else 0


def _say(message: str) -> None:
    click.echo(f"error: {one_line(message)}", err=True)
