"""Faults on demand: what can go wrong with an answer, and which answers it goes wrong with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any, Literal

from attrs import evolve, frozen

from chartmogul_async.sandbox.reply import JSON, Reply, to_json

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
    """One thing that goes wrong with an answer. Make one with the methods named after what it does."""

    kind: Kind
    code: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    sent: int | None = None

    @classmethod
    def status(
        cls,
        code: int,
        body: Mapping[str, Any] | str | None = None,
        *,
        retry_after: float | str | None = None,
    ) -> Fault:
        """Answer with this status instead.

        ``body`` is written as JSON if it is a mapping and as plain text if it is a string. By default it is
        plain text for 500 and above and an object with code, message and param below. ``retry_after`` is
        written as given, sense or not.
        """
        if body is None and code >= 500:
            body = f"{code} {_REASONS.get(code, 'Error')}"
        elif body is None:
            body = {"code": code, "message": f"Refused with {code} by the sandbox, as told", "param": None}
        headers = () if retry_after is None else (("retry-after", str(retry_after)),)
        if isinstance(body, str):
            return cls("status", code, body.encode(), "text/plain; charset=utf-8", headers)
        return cls("status", code, to_json(body), JSON, headers)

    @classmethod
    def reset(cls) -> Fault:
        """Break the connection off before a single byte is sent."""
        return cls("reset")

    @classmethod
    def reset_in_body(cls, after: int | None = None) -> Fault:
        """Break the connection off after so many bytes of the body (default: half of it)."""
        return cls("reset-in-body", sent=after)

    @classmethod
    def stall(cls, after: int | None = None) -> Fault:
        """Send the head and so many bytes of the body (default: half of it), then nothing, and stay
        connected.
        """
        return cls("stall", sent=after)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """Answer rightly, but so much later."""
        return cls("slow", seconds=seconds)

    @classmethod
    def truncated(cls, after: int | None = None) -> Fault:
        """Send only so many bytes of the JSON (default: half of it), as if that were all: the length says
        so, too.
        """
        return cls("truncated", sent=after)

    @classmethod
    def garbage(cls) -> Fault:
        """Send bytes that are neither JSON nor UTF-8, called JSON."""
        return cls("garbage")

    @classmethod
    def duplicate_keys(cls) -> Fault:
        """Write the answer's first key once more at its end, with an empty value of its kind.

        A reader that lets the last one win sees a valid answer without its data.
        """
        return cls("duplicate-keys")

    @classmethod
    def twice(cls) -> Fault:
        """Write the whole body twice, one after the other."""
        return cls("twice")

    @classmethod
    def empty(cls) -> Fault:
        """Send the right head with an empty body."""
        return cls("empty")

    @classmethod
    def html(cls) -> Fault:
        """Send a page in place of the answer, with status 200 and called HTML: a proxy's log-in, say."""
        return cls("html")

    def apply(self, reply: Reply) -> Reply:
        """Give the reply as it comes out with this fault."""
        half = len(reply.body) // 2 if self.sent is None else self.sent
        match self.kind:
            case "status":
                return evolve(
                    reply,
                    status=self.code,
                    body=self.body,
                    content_type=self.content_type,
                    headers=(*reply.headers, *self.headers),
                )
            case "reset" | "reset-in-body" | "stall":
                return evolve(reply, ending=self.kind, sent=half)
            case "slow":
                return evolve(reply, delay=reply.delay + self.seconds)
            case "truncated":
                return evolve(reply, body=reply.body[:half])
            case "garbage":
                return evolve(reply, body=b"\x00\xff{not json\xfe" + reply.body[:16])
            case "duplicate-keys":
                return evolve(reply, body=_with_duplicate_key(reply.body))
            case "twice":
                return evolve(reply, body=reply.body * 2)
            case "empty":
                return evolve(reply, body=b"")
            case _:  # html, the last kind
                return evolve(reply, status=200, body=_PAGE, content_type="text/html; charset=utf-8")


def _with_duplicate_key(body: bytes) -> bytes:
    key, value = next(iter(json.loads(body).items()))
    return body[:-1] + b"," + to_json(key) + b":" + to_json(type(value)()) + b"}"


@frozen
class Rule:
    """Which requests a fault meets: the n-th ones (``sequence``) or some of them by chance (``chances``,
    ``seed``).

    ``where`` narrows it to requests whose path and query, percent-decoded, contain that text.
    """

    where: str
    sequence: tuple[Fault | None, ...] = ()
    chances: tuple[tuple[Fault, float], ...] = ()
    seed: int = 0


@frozen
class Faults:
    """Which answers go wrong, and how. Only requests that the limits let in are counted.

    ``Faults.sequence(Fault.reset(), None, Fault.status(502))`` meets the first and the third request;
    ``Faults.sequence(*[Fault.status(503)] * 3, where="/metrics/mrr")`` the first three to one endpoint;
    ``Faults.random({Fault.reset(): 0.05, Fault.garbage(): 0.01}, seed=7)`` some of all. Added together, the
    first that has a fault for a request wins.
    """

    rules: tuple[Rule, ...] = ()

    @classmethod
    def sequence(cls, *faults: Fault | None, where: str = "") -> Faults:
        """Meet the first, second, … request that contains ``where`` with these; ``None`` and all after the
        last are spared.
        """
        return cls((Rule(where, sequence=faults),))

    @classmethod
    def random(cls, chances: Mapping[Fault, float], *, seed: int = 0, where: str = "") -> Faults:
        """Meet each request that contains ``where`` with these probabilities, the same ones for the same
        seed.

        Raises ``ValueError`` if the probabilities are negative or add up to more than 1.
        """
        if any(chance < 0 for chance in chances.values()) or sum(chances.values()) > 1 + 1e-9:
            raise ValueError(f"not probabilities: {list(chances.values())}")
        return cls((Rule(where, chances=tuple(chances.items()), seed=seed),))

    def __add__(self, other: Faults) -> Faults:
        """Put the rules of both one after the other."""
        return Faults(self.rules + other.rules)


class Trouble:
    """Deals out the faults of a plan, request by request."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._met = [0] * len(faults.rules)
        self._chance = [Random(rule.seed) for rule in faults.rules]  # noqa: S311  repeatable on purpose

    def next(self, target: str) -> Fault | None:
        """Give the fault for the next request to this path and query. Every rule counts it, also after one
        has hit.
        """
        dealt = [self._deal(at, rule) for at, rule in enumerate(self.faults.rules) if rule.where in target]
        return next((fault for fault in dealt if fault is not None), None)

    def _deal(self, at: int, rule: Rule) -> Fault | None:
        number, self._met[at] = self._met[at], self._met[at] + 1
        if number < len(rule.sequence):
            return rule.sequence[number]
        luck = self._chance[at].random()
        for fault, chance in rule.chances:
            if luck < chance:
                return fault
            luck -= chance
        return None
