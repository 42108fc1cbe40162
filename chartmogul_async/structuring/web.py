"""What web frameworks ask a class for, so that a handler can return its objects.

FastAPI asks pydantic where the result of a handler is annotated, and otherwise for ``vars()``. msgspec, and with it
Litestar, needs nothing: it knows attrs.
"""

from typing import TYPE_CHECKING, Any, get_args

import attrs

from chartmogul_async.structuring.documents import from_document


class WebRecord:
    """The base class of records that a web framework can write."""

    __slots__ = ()

    def _fields(self) -> dict[str, Any]:
        return attrs.asdict(self, recurse=False)  # type: ignore[arg-type]  # the class that inherits this is one of attrs

    # A type checker would not have it replaced.
    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            # An object with slots has none. This one is made for ``vars()``, and nothing can be stored in it.
            return self._fields()

    @classmethod
    def _read(cls, document: Any) -> Any:
        return from_document(document, cls)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # Only pydantic calls this, so its core is there.
        from pydantic_core import PydanticSerializationUnexpectedValue, core_schema

        def read(value: Any) -> Any:
            return value if isinstance(value, cls) else cls._read(value)

        def fields_of(record: Any) -> dict[str, Any]:
            # In a union the next class is tried.
            if not isinstance(record, cls):
                raise PydanticSerializationUnexpectedValue(f"expected {cls.__name__}")
            return record._fields()

        fields = {
            name: core_schema.typed_dict_field(handler.generate_schema(kind))
            for name, kind in _types(cls, source).items()
        }
        # Whoever annotates a ``MetricEntry`` means all its figures, not its date only.
        shape = core_schema.typed_dict_schema(fields, extra_behavior="allow")
        return core_schema.no_info_plain_validator_function(
            read,
            json_schema_input_schema=shape,
            serialization=core_schema.plain_serializer_function_ser_schema(
                fields_of, return_schema=shape, when_used="json"
            ),
        )


def _types(cls: type[Any], source: Any) -> dict[str, Any]:
    """The type of each field in documents, for ``Series`` or for ``Series[MRREntry, Summary]``."""
    parameters = getattr(cls, "__parameters__", ())
    arguments = get_args(source) or [parameter.__bound__ for parameter in parameters]
    chosen = dict(zip(parameters, arguments, strict=True))
    return {field.name: _specialised(field.metadata.get("document", field.type), chosen) for field in attrs.fields(cls)}


def _specialised(kind: Any, chosen: dict[Any, Any]) -> Any:
    if kind in chosen:
        return chosen[kind]
    parameters = getattr(kind, "__parameters__", ())
    return kind[tuple(chosen[parameter] for parameter in parameters)] if parameters else kind
