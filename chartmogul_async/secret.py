"""A value that must not show where objects are displayed: in a repr, in ``vars()``, in a pickle."""

from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Secret(Generic[T]):
    """Keeps a value out of reprs, of ``vars()``, and of copies and pickles.

    Args:
        value: The value, such as headers with an API key.

    Attributes:
        revealed: The value.
    """

    # An object with slots has no __dict__ in which a debugger or an error tracker could look.
    __slots__ = ("revealed",)

    def __init__(self, value: T) -> None:
        self.revealed: T = value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key cannot be copied or pickled: make an AsyncClient where it is used")
