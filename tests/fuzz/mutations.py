"""Mutations of JSON that give JSON again, as most mutations of its bytes do not."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -0.0,
        1,
        -1,
        1.9,
        650.0,
        2**53,
        2**53 - 1,
        2**63,
        -(2**63) - 1,
        10**25,
        1e16,
        1e300,
        5e-324,
    ),
    *("", "1", "-12.50", "1e5", "2023-07-31", "2023-7-31", "20230731", "2024-02-30", "2015-06-15T19:37:00Z", "\ud800"),
    *("NaN", "é", "\x00", [], {}, [[]], {"": None}, [None], {"date": "2023-07-31"}),
)
LITERALS = (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-0", b"1E5", b"0.1e1", b"9" * 400, b"01", b"1.")
_PLACEHOLDER = "\x02here\x02"


def mutated_json(content: bytes, random: Random) -> bytes:
    """The JSON with one to three of its places changed; bytes that are not JSON are returned unchanged."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return content
    holder = [value]
    for _ in range(random.randint(1, 3)):
        _change_one(holder, random)
    try:
        text = json.dumps(holder[0], ensure_ascii=random.random() < 0.7)
    except RecursionError:
        return content
    literal = random.choice(LITERALS).decode()
    return text.replace(json.dumps(_PLACEHOLDER), literal).encode("utf-8", "surrogatepass")


def with_repetition(content: bytes, random: Random, times: int) -> bytes:
    """The JSON with a long list or string in one of its places; bytes that are not JSON are repeated."""
    try:
        holder = [json.loads(content)]
    except (ValueError, RecursionError):
        return content * times
    parent, key = _place(holder, random)
    repeated = json.dumps(random.choice([parent[key], random.choice(VALUES)]))
    parent[key] = _PLACEHOLDER
    separator, begin, end = random.choice([(",", "[", "]"), ('","', '["', '"]'), ("", '"', '"')])
    text = json.dumps(holder[0]).replace(json.dumps(_PLACEHOLDER), begin + separator.join([repeated] * times) + end)
    return text.encode("utf-8", "surrogatepass")


def _change_one(holder: list[Any], random: Random) -> None:
    parent, key = _place(holder, random)
    match random.randrange(6):
        case 0 if parent is not holder:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[random.choice([key.replace("-", "_"), key.upper(), "customer-count", "extra"])] = deepcopy(
                parent[key]
            )
        case 2 if isinstance(parent, list) and parent is not holder:
            parent.insert(random.randint(0, len(parent)), deepcopy(parent[key]))
        case 3:
            parent[key] = _PLACEHOLDER
        case 4:
            parent[key] = random.choice([[parent[key]], {"": parent[key]}, {"entries": [parent[key]]}])
        case _:
            parent[key] = deepcopy(random.choice(VALUES))


def _place(holder: list[Any], random: Random) -> tuple[Any, Any]:
    """A random place of the value, as a container and a key into it."""
    parent: Any = holder
    key: Any = 0
    while isinstance(parent[key], list | dict) and parent[key] and random.random() < 0.9:
        parent = parent[key]
        key = random.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
    return parent, key
