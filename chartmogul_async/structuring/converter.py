"""Bytes into frozen records, and records into documents and back: the only cattrs converter of the package.

Strict: a value is converted only where nothing is lost. ``True`` is not 1, ``"1"`` is not 1, 1.9 is not 1; NaN and
infinity are not numbers. A rate written as an integer becomes a float, a count written ``650.0`` becomes 650.
Unknown keys are ignored, since new fields appear without notice. Null is refused, except for fields with a default.

Keys are kebab-case in responses, and in documents those of the records, snake_case. The metadata of a field may contain
its ``key`` in the response, an ``old_key`` that it once had, and ``text`` if its number was once sent as text; or a
``mark``, which a document must have as it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime
from functools import cache
from itertools import islice
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from chartmogul_async.checks import shown
from chartmogul_async.errors import DecodeError
from chartmogul_async.structuring.bulk import EXACT_BELOW, Exact, Structurer, bulk_structurer, parse_date
from chartmogul_async.structuring.density import HARMLESS_SIZE, LONGEST_INTEGER, check_density, parse_int_for

# The extra ``fast`` installs orjson.
try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]  # a module or None

T = TypeVar("T")

_NUMBER = r"-?[0-9]{1,18}(\.[0-9]{1,18})?"
# DecodeError.problems contains this many, since each takes more memory and time than the value that does not match;
# the message names the first ones.
_MAX_PROBLEMS = 100
_MAX_PROBLEMS_IN_MESSAGE = 5
# Objects that are structured one by one; a page of a list has 200 at most.
_MAX_OBJECTS = 10_000
# Levels of an object of any content.
_DEEPEST = 100


def read(content: bytes, into: type[T]) -> T:
    """Turn JSON into a record.

    With the extra ``fast`` orjson parses first. It turns integers of more than 64 bits into floats and accepts only
    UTF-8; such floats are refused, and any body that it cannot parse or that does not match is read again by the
    standard library, which decides. (In keys that are ignored, orjson accepts some ten more levels of nesting, and
    longer integers.)

    Args:
        content: The body of a response.
        into: The class of the record.

    Returns:
        The record.

    Raises:
        DecodeError: The body is not JSON, or does not match the class; each mismatch is named with its place.
    """
    if len(content) > HARMLESS_SIZE:
        check_density(content)
    if orjson is not None:
        with suppress(Exception):
            return _converter(detailed=False, kebab=True).structure(orjson.loads(content), into)
    return structure(_parsed(content), into)


def decode(content: bytes) -> Any:
    """Parse JSON.

    Args:
        content: The body of a response.

    Returns:
        The value, made of dicts, lists and scalars.

    Raises:
        DecodeError: The body is not JSON; NaN and Infinity are not JSON either.
    """
    if len(content) > HARMLESS_SIZE:
        check_density(content)
    return _parsed(content)


def _parsed(content: bytes) -> Any:
    parse_int = parse_int_for(content) if len(content) > LONGEST_INTEGER else int
    try:
        return json.loads(content, parse_constant=_refuse_constant, parse_int=parse_int)
    except (ValueError, RecursionError) as error:
        problem = f"$: the body of {len(content)} bytes is {'not JSON' if content.strip() else 'empty'}"
        if isinstance(error, json.JSONDecodeError) and content.strip():
            problem += f", see character {error.pos}"
    # The parser's error contains the whole body, and a body may contain customers. Raised outside the except block,
    # DecodeError has no reference to it.
    raise DecodeError(problem, problems=(problem,))


def structure(value: Any, into: type[T], *, kebab: bool = True) -> T:
    """Turn parsed JSON into a record.

    Args:
        value: The value, as ``decode`` returns it. Of a response it is used up: records take the place of objects.
        into: The class of the record.
        kebab: Whether the keys are those of a response; otherwise they are those of a document.

    Returns:
        The record.

    Raises:
        DecodeError: The value does not match the class; each mismatch is named with its place.
    """
    # Whatever fails here is structured again by the slow converter, which decides and finds the place.
    with suppress(Exception):
        return _converter(detailed=False, kebab=kebab).structure(value, into)
    try:
        return _converter(detailed=True, kebab=kebab).structure(value, into)
    except Exception as error:  # noqa: BLE001 - each one becomes part of the message
        problems = tuple(islice(_problems_of(error, "$", kebab), _MAX_PROBLEMS + 1))
    raise _mismatch(problems)


def unstructure(record: Any) -> dict[str, Any]:
    """Turn a record into a document.

    Args:
        record: An object of an attrs class, whose fields may contain others.

    Returns:
        Dicts with the names of the fields, lists and scalars: what JSON can represent.
    """
    document: dict[str, Any] = _converter(detailed=False, kebab=False).unstructure(record)
    return document


def _mismatch(problems: tuple[str, ...]) -> DecodeError:
    message = "; ".join(problems[:_MAX_PROBLEMS_IN_MESSAGE])
    if len(problems) > _MAX_PROBLEMS:
        message += "; and more"
    elif len(problems) > _MAX_PROBLEMS_IN_MESSAGE:
        message += f"; and {len(problems) - _MAX_PROBLEMS_IN_MESSAGE} more"
    return DecodeError(message, problems=problems[:_MAX_PROBLEMS])


def _problems_of(error: Exception, path: str, kebab: bool) -> Iterator[str]:
    if isinstance(error, cattrs.ClassValidationError):
        of_fields, of_the_whole = error.group_exceptions()
        for inner, note in of_fields:
            yield from _problems_of(inner, f"{path}.{_key_of(error.cl, note.name, kebab)}", kebab)
        for inner in of_the_whole:
            yield f"{path}: {inner}"
    elif isinstance(error, _Mismatches):
        for index, inner in error.found:
            yield from _problems_of(inner, f"{path}[{index}]", kebab)
    else:
        yield f"{path}: {'missing' if isinstance(error, KeyError) else error}"


# --- classes -----------------------------------------------------------------------------------------------


def _key_of(cls: type, name: str, kebab: bool) -> str:
    if not kebab:
        return name
    key: str | None = getattr(attrs.fields(cls), name).metadata.get("key")
    return key or name.replace("_", "-")


def _is_class(cls: Any) -> bool:
    return attrs.has(cls)


def _response_hook(cls: Any, converter: cattrs.BaseConverter) -> Callable[[Any, Any], Any]:
    fields = attrs.fields(cls)
    keys = {field.name: _key_of(cls, field.name, kebab=True) for field in fields}
    overrides = {
        field.name: override(
            rename=keys[field.name], struct_hook=_number_or_text if field.metadata.get("text") else None
        )
        for field in fields
    }
    build = make_dict_structure_fn(cls, converter, **overrides)  # type: ignore[arg-type]  # overrides are not options
    never_null = {keys[field.name] for field in fields if field.default not in (attrs.NOTHING, None)}
    new_keys = {field.metadata["old_key"]: keys[field.name] for field in fields if "old_key" in field.metadata}

    def hook(value: Any, _: Any) -> Any:
        _object(value)
        for old, new in new_keys.items():
            if old in value and new not in value:
                value = {**value, new: value[old]}
        # A field whose default is not None is never None: null means its default.
        if never_null:
            value = {key: item for key, item in value.items() if item is not None or key not in never_null}
        return build(value, cls)

    return hook


def _document_hook(cls: Any, converter: cattrs.BaseConverter) -> Callable[[Any, Any], Any]:
    build = make_dict_structure_fn(cls, converter)
    fields = attrs.fields(cls)
    marks = {field.name: field.default for field in fields if field.metadata.get("mark")}

    def hook(value: Any, _: Any) -> Any:
        _object(value)
        for key, mark in marks.items():
            if value.get(key) != mark:
                raise TypeError(f"expected {key} {mark}, got {shown(value.get(key))}")
        return build(value, cls)

    return hook


def _is_literal(cls: Any) -> bool:
    return get_origin(cls) is Literal


def _is_tuple(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _tuple_hook(cls: Any, converter: cattrs.BaseConverter, kebab: bool) -> Callable[[Any, Any], Any]:
    item = get_args(cls)[0]
    structure_item = converter.get_structure_hook(item)
    structure_all = None
    if _is_class(item):
        structure_all = bulk_structurer(item, [_key_of(item, field.name, kebab) for field in attrs.fields(item)])
    most = math.inf if structure_all or not _is_class(item) else _MAX_OBJECTS
    # The fast converter may have made some records before it met a mismatch elsewhere.
    made = item if kebab and _is_class(item) else None
    structure_all = structure_all or _one_by_one

    def exact(value: Any, _: int) -> Any:
        return value if type(value) is made else structure_item(value, item)

    def hook(value: Any, _: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise TypeError(f"expected list, got {_type_name(value)}")
        if len(value) > most:
            raise TypeError(f"expected a list of at most {most} objects, got {len(value)}")
        # A response was parsed here; a document is its owner's.
        objects = value if kebab else value.copy()
        if not converter.detailed_validation:
            structure_all(objects, exact)
            return tuple(objects)
        mismatches = _Mismatches()
        mismatches.collect(objects, structure_all, exact)
        if mismatches.found:
            raise mismatches
        return tuple(objects)

    return hook


def _to_list(items: tuple[Any, ...]) -> list[Any]:
    return list(map(_converter(detailed=False, kebab=False).unstructure, items))


def _to_dict(cls: Any, converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    # Marks are not parameters of ``__init__``.
    return make_dict_unstructure_fn(cls, converter, _cattrs_include_init_false=True)


def _one_by_one(objects: list[Any], exact: Exact) -> None:
    for index, each in enumerate(objects):
        objects[index] = exact(each, index)


class _Mismatches(Exception):  # noqa: N818 - several errors, not one
    """What does not match in a list, up to the number of problems that are reported.

    Attributes:
        found: The index and the error of each object that does not match.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, Exception]] = []
        self._problems = 0

    def collect(self, objects: list[Any], structure_all: Structurer, exact: Exact) -> None:
        def note(value: Any, index: int) -> Any:
            try:
                return exact(value, index)
            except Exception as error:  # noqa: BLE001 - each one becomes part of the message
                self.found.append((index, error))
                self._problems += sum(1 for _ in _problems_of(error, "", kebab=True))
                if self._problems > _MAX_PROBLEMS:
                    raise self from None
                return value

        structure_all(objects, note)


# --- single values -----------------------------------------------------------------------------------------


def _number(value: Any, _: Any = None) -> int | float:
    if type(value) is int or (type(value) is float and abs(value) < EXACT_BELOW):
        return value
    raise TypeError(f"expected int or float, got {_type_name(value)}")


def _float(value: Any, _: Any = None) -> float:
    if type(value) in (int, float) and abs(value) < EXACT_BELOW:
        return float(value)
    raise TypeError(f"expected float, got {_type_name(value)}")


def _int(value: Any, _: Any = None) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer() and abs(value) < EXACT_BELOW:
        return int(value)
    raise TypeError(f"expected int, got {_type_name(value)}")


def _number_or_text(value: Any, _: Any = None) -> int | float | None:
    if type(value) is not str:
        return None if value is None else _number(value)
    if not re.fullmatch(_NUMBER, value):
        raise TypeError("expected a number, got a malformed str")
    return float(value) if "." in value else int(value)


def _bool(value: Any, _: Any = None) -> bool:
    if type(value) is not bool:
        raise TypeError(f"expected bool, got {_type_name(value)}")
    return value


def _str(value: Any, _: Any = None) -> str:
    if type(value) is not str:
        raise TypeError(f"expected str, got {_type_name(value)}")
    return value


def _date(value: Any, _: Any = None) -> date:
    # ``date.fromisoformat`` also accepts other forms of ISO 8601.
    try:
        if type(value) is str and len(value) == 10 and value[4] == value[7] == "-":
            return parse_date(value)
    except ValueError:
        # The exception quotes the value; the one below does not.
        pass
    raise TypeError(f"expected a date YYYY-MM-DD, got {'a malformed str' if type(value) is str else _type_name(value)}")


def _datetime(value: Any, _: Any = None) -> datetime:
    try:
        if type(value) is str:
            return datetime.fromisoformat(value)
    except ValueError:
        # The exception quotes the value; the one below does not.
        pass
    raise TypeError(f"expected an ISO 8601 time, got {'a malformed str' if type(value) is str else _type_name(value)}")


def _object(value: Any, _: Any = None) -> dict[str, Any]:
    if type(value) is not dict:
        raise TypeError(f"expected object, got {_type_name(value)}")
    return value


def _any_object(value: Any, _: Any = None) -> dict[str, Any]:
    """An object of any content that can be copied, which takes more frames than to read it."""
    if _is_deeper_than(_DEEPEST, _object(value)):
        raise TypeError(f"expected object, got one that is nested more than {_DEEPEST} deep")
    return value  # type: ignore[no-any-return]  # checked above


def _is_deeper_than(levels: int, value: Any) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    return not levels or any(_is_deeper_than(levels - 1, part) for part in _parts(value))


def _parts(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _object_without_huge_floats(value: Any, _: Any = None) -> dict[str, Any]:
    """An object of any content, except floats so large that they may have been written as integers."""
    if _has_huge_float(_any_object(value)):
        raise TypeError("a number out of range")
    return value  # type: ignore[no-any-return]  # checked above


def _bool_str_or_object(value: Any, _: Any = None) -> Any:
    if type(value) in (bool, str):
        return value
    if type(value) is not dict:
        raise TypeError(f"expected bool, str or object, got {_type_name(value)}")
    return _object_without_huge_floats(value)


def _has_huge_float(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return any(map(_has_huge_float, _parts(value)))
    return type(value) is float and not abs(value) < EXACT_BELOW


def _type_name(value: Any) -> str:
    if type(value) in (int, float) and not abs(value) < EXACT_BELOW:
        return "a number out of range"
    return {dict: "object", type(None): "null"}.get(type(value), type(value).__name__)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _optional(hook: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, _: None if value is None else hook(value)


_SINGLE_VALUES: dict[Any, Callable[..., Any]] = {
    int | float: _number,
    float: _float,
    int: _int,
    bool: _bool,
    str: _str,
    date: _date,
    datetime: _datetime,
    dict[str, Any]: _any_object,
    bool | str | dict[str, Any]: _bool_str_or_object,
}


_NUMBERS = (int | float, int | float | None)


@cache
def _converter(*, detailed: bool, kebab: bool) -> cattrs.Converter:
    """The fast converter, which stops at the first mismatch, or the slow one, which names every mismatch."""
    converter = cattrs.Converter(detailed_validation=detailed)
    single_values = _SINGLE_VALUES if detailed else _SINGLE_VALUES | {dict[str, Any]: _object_without_huge_floats}
    composed = {kind | None: _optional(hook) for kind, hook in single_values.items()}
    for kind, hook in single_values.items():
        if isinstance(kind, type):
            converter.register_structure_hook(kind, hook)
        else:
            composed[kind] = hook
    class_hook = _response_hook if kebab else _document_hook
    # Hooks that a factory makes are resolved once for each class. Registered as plain hooks, those of unions would be
    # looked up again for every value.
    converter.register_structure_hook_factory(lambda kind: kind in composed, lambda kind: composed[kind])
    converter.register_structure_hook_factory(_is_literal, lambda _: _str)
    converter.register_structure_hook_factory(_is_tuple, lambda kind, itself: _tuple_hook(kind, itself, kebab))
    converter.register_structure_hook_factory(_is_class, lambda kind, itself: class_hook(kind, itself))
    converter.register_unstructure_hook(date, date.isoformat)
    # Otherwise a datetime is written as the date that it also is.
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    # Without it numbers would be dispatched by their class, one by one.
    converter.register_unstructure_hook_factory(lambda kind: kind in _NUMBERS, lambda _: identity)
    converter.register_unstructure_hook_factory(_is_tuple, lambda _: _to_list)
    converter.register_unstructure_hook_factory(_is_class, _to_dict)
    return converter
