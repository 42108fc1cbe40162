"""What ``help()`` shows of a blocking method: the docstring of the async one, without what holds for ``await`` only."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import cleandoc
from textwrap import indent

_RETURNS = re.compile(r"^Returns:\n(?: {4}.*\n?)+", re.MULTILINE)
# All blocking clients share one event loop.
_OF_EVENT_LOOPS = ", or belongs to another event loop"


def docstring_of(method: Callable[..., object], returns: str | None) -> str:
    """Make the docstring of a blocking method.

    Args:
        method: The async method.
        returns: What the blocking one returns, if that is something else.

    Returns:
        The docstring, with its first line not indented, as ``inspect.cleandoc`` gives it.
    """
    text = cleandoc(method.__doc__ or "").replace(_OF_EVENT_LOOPS, "")
    if returns is None:
        return text
    section = f"Returns:\n{indent(cleandoc(returns), '    ')}\n"
    return _RETURNS.sub(lambda _: section, text)
