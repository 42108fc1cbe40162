"""How a resource reaches the API: by a function it is given, never by the client itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

T = TypeVar("T")


class Fetch(Protocol):
    """A path below the base URL and its parameters become a record of the class ``into``."""

    async def __call__(self, path: str, params: Mapping[str, str], into: type[T]) -> T: ...
