"""What every record can do: become a document, and be returned from a handler of a web framework.

FastAPI asks pydantic where the result of a handler is annotated, and otherwise for ``vars()``. Taskiq asks pydantic,
too, and does not tell it a type. msgspec, and with it Litestar, asks for nothing: it knows attrs.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import attrs

from chartmogul_async.structuring.documents import from_document, to_document


class Record:
    """The base class of records; each of them is one of attrs."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Make a document of the record, of which ``json.dumps`` makes JSON.

        Returns:
            Its fields by their names, with dates as ISO strings, and so on for records in it.
        """
        return to_document(self)

    def _fields(self) -> dict[str, Any]:
        return attrs.asdict(self, recurse=False)  # type: ignore[arg-type]  # whatever inherits this is one of attrs

    # A type checker would not have it replaced.
    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            # An object with slots has none. This one is made for ``vars()``, and nothing can be stored in it.
            return self._fields()

        @property
        def __pydantic_serializer__(self) -> Any:
            # What pydantic asks a value for whose type it was not told: one annotated with ``Any``, or in a plain list.
            return _serializer()

    @classmethod
    def _read(cls, document: Any) -> Any:
        return from_document(document, cls)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # Only pydantic calls this, so its core is there.
        from pydantic_core import PydanticSerializationUnexpectedValue, core_schema

        def read(value: Any, _: Any) -> Any:
            return value if isinstance(value, cls) else cls._read(value)

        def written(value: Any, info: Any) -> Any:
            # Of a union the next class is tried.
            if not isinstance(value, cls):
                raise PydanticSerializationUnexpectedValue(f"expected {cls.__name__}")
            return _written(value, info)

        fields = {
            name: core_schema.typed_dict_field(handler.generate_schema(kind))
            for name, kind in _types(cls, source).items()
        }
        # The fields are for the JSON schema only, that of what is read and of what is written.
        return core_schema.no_info_wrap_validator_function(
            read,
            core_schema.typed_dict_schema(fields),
            serialization=core_schema.plain_serializer_function_ser_schema(written, info_arg=True),
        )


def _written(record: Record, info: Any) -> Any:
    return record.to_dict() if info.mode == "json" else record


@cache
def _serializer() -> Any:
    """Writes any record as its document."""
    from pydantic_core import SchemaSerializer, core_schema

    function = core_schema.plain_serializer_function_ser_schema(_written, info_arg=True)
    return SchemaSerializer(core_schema.any_schema(serialization=function))


def _types(cls: type[Any], source: Any) -> dict[str, Any]:
    """The type of each field in documents, for ``Series`` or for ``Series[MRREntry, Summary]``."""
    parameters = getattr(cls, "__parameters__", ())
    arguments = get_args(source) or parameters
    # A bare ``Outcome`` has parameters as arguments.
    kinds = [kind.__bound__ if isinstance(kind, TypeVar) else kind for kind in arguments]
    chosen = dict(zip(parameters, kinds, strict=True))
    return {field.name: _specialised(field.metadata.get("document", field.type), chosen) for field in attrs.fields(cls)}


def _specialised(kind: Any, chosen: dict[Any, Any]) -> Any:
    if kind in chosen:
        return chosen[kind]
    parameters = getattr(kind, "__parameters__", ())
    return kind[tuple(chosen[parameter] for parameter in parameters)] if parameters else kind
