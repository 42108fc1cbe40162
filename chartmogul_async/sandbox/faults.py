"""Faults on demand: what goes wrong with a response, and with which responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any, Literal

from attrs import evolve, frozen

from chartmogul_async.checks import (
    encodable,
    finite_number,
    instance_of,
    integer,
    integer_between,
    non_negative_integer,
    non_negative_number,
    shown,
)
from chartmogul_async.errors import ArgumentError
from chartmogul_async.sandbox.response import JSON, Response, to_json

_REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout Error"}
_PAGE = b"<!DOCTYPE html><html><head><title>Please sign in</title></head><body><h1>Please sign in</h1></body></html>"

Kind = Literal[
    "status",
    "reset",
    "reset-in-body",
    "stall",
    "slow",
    "truncated",
    "garbage",
    "duplicate-keys",
    "twice",
    "empty",
    "html",
]


@frozen
class Fault:
    """One thing that goes wrong with a response. Make one with the methods, each named after its effect."""

    kind: Kind
    code: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    after: int | None = None

    @classmethod
    def status(
        cls,
        code: int,
        body: Mapping[str, Any] | str | None = None,
        *,
        retry_after: float | str | None = None,
    ) -> Fault:
        """Send this status instead of the response.

        Args:
            code: The status.
            body: A mapping is sent as JSON, a string as plain text. The default is plain text for 500 and above, and
                an object with code, message and param below.
            retry_after: The value of that header, sent as given even if it is invalid.

        Returns:
            The fault.

        Raises:
            ArgumentError: The code is not a status, or another argument is of a wrong type.
        """
        code = integer_between("code", code, 100, 999)
        if isinstance(retry_after, str):
            retry_after = str.__str__(retry_after)
        elif retry_after is not None:
            retry_after = finite_number("retry_after", retry_after)
        if body is None and code >= 500:
            body = f"{code} {_REASONS.get(code, 'Error')}"
        elif body is None:
            body = {"code": code, "message": f"Refused with {code}, as requested", "param": None}
        headers = () if retry_after is None else (("retry-after", str(retry_after)),)
        if isinstance(body, str):
            return cls("status", code, encodable("body", body).encode(), "text/plain; charset=utf-8", headers)
        return cls("status", code, _checked_json(body), JSON, headers)

    @classmethod
    def reset(cls) -> Fault:
        """Reset the connection before a single byte is sent."""
        return cls("reset")

    @classmethod
    def reset_in_body(cls, after: int | None = None) -> Fault:
        """Reset the connection inside the body.

        Args:
            after: How many bytes of the body are sent before; half of them by default.

        Returns:
            The fault.

        Raises:
            ArgumentError: ``after`` is not a non-negative integer.
        """
        return cls("reset-in-body", after=_checked_after(after))

    @classmethod
    def stall(cls, after: int | None = None) -> Fault:
        """Stop sending inside the body, and keep the connection open.

        Args:
            after: How many bytes of the body are sent before; half of them by default.

        Returns:
            The fault.

        Raises:
            ArgumentError: ``after`` is not a non-negative integer.
        """
        return cls("stall", after=_checked_after(after))

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """Delay the correct response.

        Args:
            seconds: The delay, in addition to the sandbox's latency.

        Returns:
            The fault.

        Raises:
            ArgumentError: ``seconds`` is not a non-negative number.
        """
        return cls("slow", seconds=non_negative_number("seconds", seconds, of=" of seconds"))

    @classmethod
    def truncated(cls, after: int | None = None) -> Fault:
        """Send only the beginning of the JSON, with a matching content length.

        Args:
            after: How many bytes are sent; half of them by default.

        Returns:
            The fault.

        Raises:
            ArgumentError: ``after`` is not a non-negative integer.
        """
        return cls("truncated", after=_checked_after(after))

    @classmethod
    def garbage(cls) -> Fault:
        """Send bytes that are neither JSON nor UTF-8, with the media type of JSON."""
        return cls("garbage")

    @classmethod
    def duplicate_keys(cls) -> Fault:
        """Repeat the first key of the object at its end, with an empty value of the same type.

        A parser that keeps the last of two equal keys sees a valid response without its data.
        """
        return cls("duplicate-keys")

    @classmethod
    def twice(cls) -> Fault:
        """Send the whole body twice in succession."""
        return cls("twice")

    @classmethod
    def empty(cls) -> Fault:
        """Send the correct status and headers with an empty body."""
        return cls("empty")

    @classmethod
    def html(cls) -> Fault:
        """Send a page of HTML with status 200 instead of the response, as a proxy with a log-in does."""
        return cls("html")

    def apply(self, response: Response) -> Response:
        """The response with this fault.

        Args:
            response: The correct response.

        Returns:
            The response to send instead.
        """
        after = len(response.body) // 2 if self.after is None else self.after
        match self.kind:
            case "status":
                return evolve(
                    response,
                    status=self.code,
                    body=self.body,
                    content_type=self.content_type,
                    headers=(*response.headers, *self.headers),
                )
            case "reset" | "reset-in-body" | "stall":
                return evolve(response, ending=self.kind, sent_bytes=after)
            case "slow":
                return evolve(response, delay=response.delay + self.seconds)
            case "truncated":
                return evolve(response, body=response.body[:after])
            case "garbage":
                return evolve(response, body=b"\x00\xff{not json\xfe" + response.body[:16])
            case "duplicate-keys":
                return evolve(response, body=_with_duplicate_key(response.body))
            case "twice":
                return evolve(response, body=response.body * 2)
            case "empty":
                return evolve(response, body=b"")
            # The last kind is html.
            case _:
                return evolve(response, status=200, body=_PAGE, content_type="text/html; charset=utf-8")


def _checked_after(after: int | None) -> int | None:
    return None if after is None else non_negative_integer("after", after, or_else=" or None")


def _checked_json(body: object) -> bytes:
    content = instance_of("body", body, Mapping, "{'message': 'No.'}")  # type: ignore[type-abstract]  # as isinstance
    try:
        return to_json(content)
    except (TypeError, ValueError):
        raise ArgumentError(f"body must be a mapping that JSON can express, not {shown(body)}") from None


def _with_duplicate_key(body: bytes) -> bytes:
    key, value = next(iter(json.loads(body).items()))
    return body[:-1] + b"," + to_json(key) + b":" + to_json(type(value)()) + b"}"


@frozen
class Rule:
    """Which requests get a fault: those at certain positions (``sequence``), or some at random (``chances``, ``seed``).

    ``where`` restricts the rule to requests whose path and query, percent-decoded, contain that text.
    """

    where: str
    sequence: tuple[Fault | None, ...] = ()
    chances: tuple[tuple[Fault, float], ...] = ()
    seed: int = 0


@frozen
class Faults:
    """Which responses get a fault, and which one. Only requests admitted by the limits count.

    ``Faults.sequence(Fault.reset(), None, Fault.status(502))`` affects the first and the third request;
    ``Faults.sequence(*[Fault.status(503)] * 3, where="/metrics/mrr")`` the first three to one endpoint;
    ``Faults.random({Fault.reset(): 0.05, Fault.garbage(): 0.01}, seed=7)`` some at random. Two values can be added: a
    request then gets the fault of the first rule that has one for it.
    """

    rules: tuple[Rule, ...] = ()

    @classmethod
    def sequence(cls, *faults: Fault | None, where: str = "") -> Faults:
        """Give these faults to the first, second, … request.

        Args:
            faults: The faults in order. None leaves a request alone, as are all requests after the last fault.
            where: Only requests whose path and query contain this text count.

        Returns:
            The faults of the sequence.

        Raises:
            ArgumentError: One of ``faults`` is not a ``Fault``, or ``where`` is not a string.
        """
        instance_of("where", where, str)
        for fault in faults:
            if fault is not None:
                _check_fault("faults", fault)
        return cls((Rule(where, sequence=faults),))

    @classmethod
    def random(cls, chances: Mapping[Fault, float], *, seed: int = 0, where: str = "") -> Faults:
        """Give each request one of these faults with its probability.

        Args:
            chances: The probability of each fault.
            seed: Equal seeds give the same faults to the same requests.
            where: Only requests whose path and query contain this text count.

        Returns:
            The random faults.

        Raises:
            ArgumentError: A key is not a ``Fault``, a probability is negative, their sum exceeds 1, or another argument
                is of a wrong type.
        """
        instance_of("chances", chances, Mapping, "{Fault.reset(): 0.05}")  # type: ignore[type-abstract]  # as isinstance
        integer("seed", seed)
        instance_of("where", where, str)
        for fault, probability in chances.items():
            _check_fault("chances", fault)
            non_negative_number("chances", probability)
        if sum(chances.values()) > 1 + 1e-9:
            raise ArgumentError(f"chances must add up to at most 1, not {sum(chances.values())}")
        return cls((Rule(where, chances=tuple(chances.items()), seed=seed),))

    def __add__(self, other: Faults) -> Faults:
        """The rules of both, in this order."""
        instance_of("what is added to Faults", other, Faults)
        return Faults(self.rules + other.rules)


def _check_fault(name: str, fault: object) -> None:
    instance_of(name, fault, Fault, example="Fault.status(502)")


class FaultInjector:
    """Chooses the fault of each request.

    Args:
        faults: The rules to follow.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._counts = [0] * len(faults.rules)
        self._rngs = [Random(rule.seed) for rule in faults.rules]  # noqa: S311 - repeatable on purpose

    def next(self, target: str) -> Fault | None:
        """The fault of the next request, None if there is none.

        Every rule counts the request, even after another one has given a fault.

        Args:
            target: Path and query of the request, percent-decoded.
        """
        chosen = [self._choose(index, rule) for index, rule in enumerate(self.faults.rules) if rule.where in target]
        return next((fault for fault in chosen if fault is not None), None)

    def _choose(self, index: int, rule: Rule) -> Fault | None:
        position, self._counts[index] = self._counts[index], self._counts[index] + 1
        if position < len(rule.sequence):
            return rule.sequence[position]
        draw = self._rngs[index].random()
        for fault, probability in rule.chances:
            if draw < probability:
                return fault
            draw -= probability
        return None
