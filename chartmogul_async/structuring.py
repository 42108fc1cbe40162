"""Bytes into frozen records: the one cattrs converter.

Strict: nothing is coerced but what loses nothing. ``True`` is not 1, ``"1"`` is not 1, 1.9 is not 1; NaN and
infinity are no numbers. A rate written as an integer becomes a float, a count written ``650.0`` becomes 650.
Unknown keys are ignored, for new fields appear without notice. Null is refused, but for fields that have a default.

Keys are kebab-case in answers and snake_case in records; a field's metadata may give its ``key`` in the
answer, an older name it ``also`` had, and that numbers once came as text (``text``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from chartmogul_async.bulk import EXACT_BELOW, bulk_structurer
from chartmogul_async.errors import DecodeError

try:
    import orjson  # the extra ``fast``
except ImportError:
    orjson = None  # type: ignore[assignment]  # a module or None

T = TypeVar("T")

_NUMBER = r"-?[0-9]{1,18}(\.[0-9]{1,18})?"
_MANY = 5  # problems told in the message; all of them are in DecodeError.problems


def read(content: bytes, into: type[T]) -> T:
    """Turn JSON into a record. Raises ``DecodeError`` naming every place that does not fit.

    With the extra ``fast`` orjson parses first. It turns integers of more than 64 bits into floats and takes UTF-8
    only; such floats are refused, and whatever did not fit is read again by the standard library, which decides. (In
    keys that nobody reads, orjson takes some ten more levels of nesting, and longer integers.)
    """
    if orjson is not None:
        with suppress(Exception):
            return _converter(detailed=False).structure(orjson.loads(content), into)
    return structure(decode(content), into)


def decode(content: bytes) -> Any:
    """Read JSON. Raises ``DecodeError`` where it is none, or holds the words NaN or Infinity."""
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        problem = f"$: the body of {len(content)} bytes is {'not JSON' if content.strip() else 'empty'}"
        if isinstance(error, json.JSONDecodeError) and content.strip():
            problem += f", see character {error.pos}"
    # Raised out here, for the parser's error holds the whole body, and a body may hold customers.
    raise DecodeError(problem, problems=(problem,))


def structure(value: Any, into: type[T]) -> T:
    """Turn parsed JSON into a record. Raises ``DecodeError`` naming every place that does not fit."""
    with suppress(Exception):  # whatever it was, the slow and exact way decides, and says where
        return _converter(detailed=False).structure(value, into)
    try:
        return _converter(detailed=True).structure(value, into)
    except Exception as error:  # noqa: BLE001 - each one becomes a sentence
        problems = tuple(_walk(error, "$"))
    told = "; ".join(problems[:_MANY]) + (f"; and {len(problems) - _MANY} more" if len(problems) > _MANY else "")
    raise DecodeError(told, problems=problems)


def _walk(error: Exception, path: str) -> Iterator[str]:
    if isinstance(error, cattrs.ClassValidationError):
        for inner, note in error.group_exceptions()[0]:
            yield from _walk(inner, f"{path}.{_key_of(error.cl, note.name)}")
    elif isinstance(error, cattrs.IterableValidationError):
        for inner, at in error.group_exceptions()[0]:
            yield from _walk(inner, f"{path}[{at.index}]")
    else:
        yield f"{path}: {'missing' if isinstance(error, KeyError) else error}"


# --- classes -----------------------------------------------------------------------------------------------


def _key_of(cls: type, name: str) -> str:
    given: str | None = getattr(attrs.fields(get_origin(cls) or cls), name).metadata.get("key")
    return given or name.replace("_", "-")


def _is_class(kind: Any) -> bool:
    return attrs.has(get_origin(kind) or kind)


def _class_hook(cls: Any, converter: cattrs.BaseConverter) -> Callable[[Any, Any], Any]:
    fields = attrs.fields(get_origin(cls) or cls)
    overrides = {
        field.name: override(
            rename=_key_of(cls, field.name), struct_hook=_number_or_text if field.metadata.get("text") else None
        )
        for field in fields
    }
    build = make_dict_structure_fn(cls, converter, **overrides)  # type: ignore[arg-type]  # overrides are no options
    empty = {_key_of(cls, field.name) for field in fields if field.default not in (attrs.NOTHING, None)}
    renamed = {field.metadata["also"]: _key_of(cls, field.name) for field in fields if "also" in field.metadata}

    def hook(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise TypeError(f"expected object, got {_kind(value)}")
        for old, new in renamed.items():
            if old in value and new not in value:
                value = {**value, new: value[old]}
        if empty:  # null stands for the default of a field that is never None
            value = {key: item for key, item in value.items() if item is not None or key not in empty}
        return build(value, cls)

    return hook


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _tuple_hook(cls: Any, converter: cattrs.BaseConverter) -> Callable[[Any, Any], Any]:
    item = get_args(cls)[0]
    as_list = converter.get_structure_hook(list[item])  # type: ignore[valid-type]  # a type made at run time
    in_bulk = None
    if not converter.detailed_validation and _is_class(item):
        keys = [_key_of(item, field.name) for field in attrs.fields(item)]
        in_bulk = bulk_structurer(item, keys, exact=converter.get_structure_hook(item))

    def hook(value: Any, _: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise TypeError(f"expected list, got {_kind(value)}")
        return tuple(as_list(value, list) if in_bulk is None else in_bulk(value))

    return hook


# --- single values -----------------------------------------------------------------------------------------


def _number(value: Any, _: Any = None) -> int | float:
    if type(value) is int or (type(value) is float and abs(value) < EXACT_BELOW):
        return value
    raise TypeError(f"expected int or float, got {_kind(value)}")


def _rate(value: Any, _: Any = None) -> float:
    if type(value) in (int, float) and abs(value) < EXACT_BELOW:
        return float(value)
    raise TypeError(f"expected float, got {_kind(value)}")


def _integer(value: Any, _: Any = None) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer() and abs(value) < EXACT_BELOW:
        return int(value)
    raise TypeError(f"expected int, got {_kind(value)}")


def _number_or_text(value: Any, _: Any = None) -> int | float | None:
    if type(value) is not str:
        return None if value is None else _number(value)
    if not re.fullmatch(_NUMBER, value):
        raise TypeError("expected a number, got another str")
    return float(value) if "." in value else int(value)


def _boolean(value: Any, _: Any = None) -> bool:
    if type(value) is not bool:
        raise TypeError(f"expected bool, got {_kind(value)}")
    return value


def _text(value: Any, _: Any = None) -> str:
    if type(value) is not str:
        raise TypeError(f"expected str, got {_kind(value)}")
    return value


def _day(value: Any, _: Any = None) -> date:
    try:
        if type(value) is str and len(value) == 10 and value[4] == value[7] == "-":  # no other ISO 8601 form
            return date.fromisoformat(value)
    except ValueError:
        pass  # said below, in our words
    raise TypeError(f"expected a date YYYY-MM-DD, got {'another str' if type(value) is str else _kind(value)}")


def _moment(value: Any, _: Any = None) -> datetime:
    try:
        if type(value) is str:
            return datetime.fromisoformat(value)
    except ValueError:
        pass  # said below, in our words
    raise TypeError(f"expected an ISO 8601 time, got {'another str' if type(value) is str else _kind(value)}")


def _object(value: Any, _: Any = None) -> dict[str, Any]:
    if type(value) is not dict:
        raise TypeError(f"expected object, got {_kind(value)}")
    return value


def _object_as_written(value: Any, _: Any = None) -> dict[str, Any]:
    """An object of anything, but for floats so large that they may have been written as integers."""
    if _has_huge_float(_object(value)):
        raise TypeError("a number out of range")
    return value  # type: ignore[no-any-return]  # an object, as was checked


def _has_huge_float(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return any(map(_has_huge_float, value.values() if isinstance(value, dict) else value))
    return type(value) is float and not abs(value) < EXACT_BELOW


def _kind(value: Any) -> str:
    if type(value) in (int, float) and not abs(value) < EXACT_BELOW:
        return "a number out of range"
    return {dict: "object", type(None): "null"}.get(type(value), type(value).__name__)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _optional(hook: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, _: None if value is None else hook(value)


_SINGLE_VALUES: dict[Any, Callable[..., Any]] = {
    int | float: _number,
    float: _rate,
    int: _integer,
    bool: _boolean,
    str: _text,
    date: _day,
    datetime: _moment,
    dict[str, Any]: _object,
}


@cache
def _converter(*, detailed: bool) -> cattrs.Converter:
    """One converter in two speeds: fast and mute, or slow and naming every misfit."""
    converter = cattrs.Converter(detailed_validation=detailed)
    single_values = _SINGLE_VALUES if detailed else _SINGLE_VALUES | {dict[str, Any]: _object_as_written}
    composed = {kind | None: _optional(hook) for kind, hook in single_values.items()}
    for kind, hook in single_values.items():
        if isinstance(kind, type):
            converter.register_structure_hook(kind, hook)
        else:
            composed[kind] = hook
    # As factories, the hooks of unions are resolved once for a class and not again for every value.
    converter.register_structure_hook_factory(lambda kind: kind in composed, lambda kind: composed[kind])
    converter.register_structure_hook_factory(_is_tuple, _tuple_hook)
    converter.register_structure_hook_factory(_is_class, _class_hook)
    return converter
