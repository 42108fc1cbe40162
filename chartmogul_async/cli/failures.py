"""Errors become one line on stderr, and an exit code that a script can act on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

import click

from chartmogul_async import ChartMogulError, errors
from chartmogul_async.cli.text import one_line

USAGE = 2
KEY = 3
NOTHING_FOUND = 4
RATE_LIMIT = 5
SERVER = 6
OUTPUT = 7
INTERRUPTED = 130

MEANINGS = {
    0: "success",
    1: "internal error",
    USAGE: "invalid usage, or a request that the server rejects (400, 404, 422)",
    KEY: "the API key is wrong or lacks a permission",
    NOTHING_FOUND: "nothing found",
    RATE_LIMIT: "rate limited, even after several attempts",
    SERVER: "server or network error, or shared limits that cannot be read",
    OUTPUT: "stdout was closed early (| head), a disk is full, or a file or warehouse cannot be written",
    INTERRUPTED: "interrupted (Ctrl-C)",
}

_CODES: tuple[tuple[type[ChartMogulError], int], ...] = (
    (errors.BadRequestError, USAGE),
    # A search that finds nothing is not an error, so this is the address of another server, or a wrong parameter.
    (errors.NotFoundError, USAGE),
    (errors.ValidationError, USAGE),
    (errors.AuthenticationError, KEY),
    (errors.ForbiddenError, KEY),
    (errors.RateLimitError, RATE_LIMIT),
)

# What the library calls an argument is an option here, an argument in capitals, or a variable of the environment.
_NAMES = {
    "start_date": "--start",
    "start": "--start",
    "end_date": "--end",
    "end": "--end",
    "metrics": "--metrics",
    "by": "--by",
    "restate": "--restate",
    "count": "--last",
    "months": "--months",
    "interval": "--interval",
    "geo": "--geo",
    "plans": "--plan",
    "filters": "--filter",
    "include": "--include",
    "email": "EMAIL",
    "api_key": "CHARTMOGUL_API_KEY",
    "base_url": "CHARTMOGUL_BASE_URL",
    "place": "PATH|URL",
    "url": "URL",
    "latency": "--latency",
    "latency_per_entry": "--latency-per-entry",
    "chances": "the probabilities of --fault",
    "seconds": "--fault slow:SECONDS",
    "code": "a status of --fault",
}
_PHRASES = (
    (" is after end_date ", " is after --end "),
    (" is after end ", " is after --end "),
    (" or be built with cfl", ""),
    ("pass urllib.parse.unquote(filters)", "decode it first"),
    ("pass several plans as a list, and a plan", "repeat --plan for several plans, and name a plan"),
    ("which restate='all' would replace with those", "which would be replaced with those"),
    ("load them into another dataset or folder", "load them into another folder"),
    ("pass the key as api_key", "pass the key as CHARTMOGUL_API_KEY"),
)


class CommandError(Exception):
    """Ends a command with a message and an exit code.

    Args:
        message: What is printed on stderr after ``error:``; nothing if it is empty.
        code: One of the exit codes of this module.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: ChartMogulError) -> int:
    """Find the exit code for an error of an exchange.

    Args:
        error: The error.

    Returns:
        The code of its class; ``SERVER`` for a class without one.
    """
    return next((code for kind, code in _CODES if isinstance(error, kind)), SERVER)


def in_options(message: str) -> str:
    """Rewrite a message about an argument of the library for the command line.

    Args:
        message: The message, which begins with the name of the argument.

    Returns:
        The message with the name of the option: ``--start 2025-04-01 is after --end 2025-03-31``.
    """
    message = re.sub(r"^\w+", lambda name: _NAMES.get(name[0], name[0]), message)
    for in_library, here in _PHRASES:
        message = message.replace(in_library, here)
    return message


def run(program: click.Command, args: Sequence[str] | None) -> int:
    """Run a command line and print its error, if there is one.

    Args:
        program: The command.
        args: The arguments; None for those of the process.

    Returns:
        The exit code.
    """
    try:
        result = program.main(args, prog_name="chartmogul", standalone_mode=False)
    except SystemExit as ended:
        # Click ends like this after a completion, not with 0 if it does not know what to complete.
        if not ended.code:
            return 0
        print_error("_CHARTMOGUL_COMPLETE must be bash_source, zsh_source or fish_source")
        return USAGE
    except click.UsageError as error:
        help_of = error.ctx.command_path if error.ctx else "chartmogul"
        print_error(f"{error.format_message().rstrip('.')} (see '{help_of} --help')")
        return error.exit_code
    except click.ClickException as error:
        print_error(error.format_message())
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except CommandError as error:
        if str(error):
            print_error(str(error))
        return error.code
    except errors.UsageError as error:
        print_error(in_options(str(error)))
        return USAGE
    except ChartMogulError as error:
        print_error(str(error))
        return code_of(error)
    return result if isinstance(result, int) else 0


def print_error(message: str) -> None:
    """Print an error as one line on stderr.

    Args:
        message: What went wrong.
    """
    print_note(f"error: {one_line(message)}")


def print_note(text: str) -> None:
    """Print a text on stderr, if it can be written to: without it the exit code is all that can be reported.

    Args:
        text: The text.
    """
    with suppress(OSError):
        click.echo(text, err=True)
