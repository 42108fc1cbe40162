"""The calls of one blocking client, and the wrappers that make its methods of those of ``AsyncClient``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from chartmogul_async import AsyncClient
from chartmogul_async.blocking.call import Call
from chartmogul_async.blocking.docstrings import docstring_of
from chartmogul_async.blocking.loop import LOOP, Loop
from chartmogul_async.checks import is_iterable
from chartmogul_async.errors import StateError

# Of a part it is only found.
A = TypeVar("A", covariant=True)
P = ParamSpec("P")
T = TypeVar("T")

_CLOSED = "this client is closed; make a new Client, and close it after its last call"
_IN_THE_LOOP = (
    "a blocking client cannot be used in the thread of its event loop, where on_event is called: "
    "the call would wait for itself"
)


class Calls:
    """Each call is a task in the event loop, for which the thread that made it waits.

    Args:
        client: The client to which the calls are made.
        renew: Makes another one like it, for a forked child.
    """

    def __init__(self, client: AsyncClient, renew: Callable[[], AsyncClient]) -> None:
        self._client: AsyncClient | None = client
        self._renew = renew
        self._loop: Loop | None = None
        self._in_progress: set[Call[Any]] = set()
        self._is_closed = False

    def check_usable(self) -> None:
        """Raise ``StateError`` if the client is closed."""
        if self._is_closed:
            raise StateError(_CLOSED)

    def wait(self, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
        """Make a call, and wait until it is complete.

        Args:
            work: The call, which is made in the event loop.

        Returns:
            Its result.

        Raises:
            StateError: The client is closed, or was meanwhile.
        """
        call = self.call(work)
        try:
            self.start(call)
            return call.result()
        except BaseException:
            # After Ctrl-C, or what else a signal raised, nobody waits for the response any more.
            call.cancel()
            raise
        finally:
            # The traceback of an error knows this frame.
            del call

    def call(self, work: Callable[[AsyncClient], Awaitable[T]]) -> Call[T]:
        """A call that is not made yet.

        Args:
            work: The call, which is made in the event loop.

        Returns:
            The call, for ``start``.
        """

        def attempt() -> Awaitable[T]:
            # It was started, and a client that is given up is not in use.
            assert self._client is not None
            return work(self._client)

        # In a forked child it is another set.
        return Call(attempt, lambda call: self._in_progress.discard(call))

    def start(self, call: Call[Any]) -> None:
        """Make a call without waiting for it.

        Args:
            call: The call.

        Raises:
            StateError: The client is closed.
        """
        _check_thread()
        with LOOP.lock:
            self.check_usable()
            if self._client is None:
                self._client = self._renew()
            try:
                if self._loop is None:
                    self._loop = LOOP.join(self)
                loop = self._loop
            except BaseException:
                self._leave()
                raise
            if self._is_closed or loop is None:
                # A signal handler closed it in the meantime.
                self._leave()
                raise StateError(_CLOSED)
            try:
                self._in_progress.add(call)
                loop.start(call)
            except BaseException:
                # A signal handler raised it, perhaps before the call was handed over.
                call.cancel()
                call.give_up()
                raise

    def close(self) -> None:
        """Cancel what is in progress, and close the connections. Closing twice does nothing.

        Raises:
            StateError: The thread is that of the event loop.
        """
        _check_thread()
        with LOOP.lock:
            self._is_closed = True
            client, loop, self._loop = self._client, self._loop, None
            if client is None or loop is None:
                # It is closed already, or made no call in this process.
                return
            for call in list(self._in_progress):
                call.cancel()
            try:
                closing = Call(client.aclose)
                loop.start(closing)
                closing.result()
            finally:
                LOOP.leave(self)

    def _leave(self) -> None:
        self._loop = None
        LOOP.leave(self)

    def abandon(self) -> object:
        """Give up the client and the calls of the parent, in a forked child.

        Returns:
            All that.
        """
        kept = self._client, self._in_progress
        self._client, self._in_progress, self._loop = None, set(), None
        return kept


def _check_thread() -> None:
    if LOOP.is_current():
        raise StateError(_IN_THE_LOOP)


class Blocking(Generic[A]):
    """Something with blocking methods: a client or a part of it.

    Args:
        calls: The calls of the client.
        find: Finds the same part of the client behind it.
    """

    def __init__(self, calls: Calls, find: Callable[[AsyncClient], A]) -> None:
        self._calls = calls
        self._find = find


def blocking(
    method: Callable[Concatenate[A, P], Awaitable[T]], returned: object = None
) -> Callable[[Callable[..., None]], Callable[Concatenate[Blocking[A], P], T]]:
    """Make a blocking method of an async one, with its signature and its docstring.

    Args:
        method: The async method.
        returned: The class that ``help()`` shows as that of the result, if the signature of the method has another one.

    Returns:
        A decorator for a method without a body, of which only the place counts; and its docstring, if it has one, as
        what is returned.
    """
    make: Callable[..., Awaitable[T]] = method

    def declare(function: Callable[..., None]) -> Callable[Concatenate[Blocking[A], P], T]:
        check = _check_of(method, function)

        @wraps(method)
        def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> T:
            check(self, *args, **kwargs)
            settled = [_settled(value) for value in args]
            named = {name: _settled(value) for name, value in kwargs.items()}
            return self._calls.wait(lambda client: make(self._find(client), *settled, **named))

        call.__doc__ = docstring_of(method, function.__doc__)
        if returned is not None:
            call.__signature__ = signature(method).replace(return_annotation=returned)  # type: ignore[attr-defined]  # functions have it
        return call

    return declare


def with_arguments_of(
    constructor: Callable[P, object],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Declare that an ``__init__`` takes the arguments of another class.

    Args:
        constructor: The other class.

    Returns:
        A decorator.
    """

    def declare(initialize: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        return _checked(constructor.__init__, initialize)

    return declare


def with_signature_of(
    method: Callable[Concatenate[AsyncClient, P], object],
) -> Callable[[Callable[..., T]], Callable[Concatenate[Any, P], T]]:
    """Declare that a method takes the arguments of another one, and has its docstring.

    Args:
        method: The method of the async client, which is not awaited there either.

    Returns:
        A decorator.
    """

    def declare(function: Callable[..., T]) -> Callable[Concatenate[Any, P], T]:
        return _checked(method, function)

    return declare


def _checked(method: Callable[..., object], function: Callable[..., T]) -> Callable[..., T]:
    check = _check_of(method, function)

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> T:
        check(*args, **kwargs)
        return function(*args, **kwargs)

    call.__doc__ = docstring_of(method, None)
    return call


def _check_of(method: Callable[..., object], function: Callable[..., object]) -> Callable[..., None]:
    """A check that arguments fit: the error must name what was called, and not the method behind it."""
    parameters, name = signature(method), function.__qualname__
    # Whether arguments fit depends on their number and names alone, and takes 20 us to find out.
    fitting: set[tuple[int, frozenset[str]]] = set()

    def check(*args: Any, **kwargs: Any) -> None:
        form = len(args), frozenset(kwargs)
        if form in fitting:
            return
        try:
            parameters.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}() {error}") from None
        fitting.add(form)

    return check


def _settled(value: Any) -> Any:
    """Read a generator or the like here: it may need the thread of its caller, as those of databases do."""
    return tuple(value) if is_iterable(value) and not isinstance(value, Collection) else value
