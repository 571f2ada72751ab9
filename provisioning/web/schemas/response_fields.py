"""What the schemas of answers share: fields, which make the JSON and the OpenAPI document alike. No rules here.

A field is the attribute of its name, of another name, or what a function makes of the object.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, cast

from marshmallow import EXCLUDE, Schema, fields
from marshmallow.validate import OneOf, Range

from provisioning.models.timestamps import stamp

DOTS = "•••••"
Read = Callable[[Any], Any]


class ResponseSchema(Schema):
    """An object of an answer: it always has all of its fields. Later versions of the API may add some.

    `row` names the attribute of the object that most fields are read from, where that is not the object itself.
    """

    class Meta:
        unknown = EXCLUDE

    row: ClassVar[str] = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        own = cast("dict[str, _Field]", self.fields)
        self._reads = [(field.data_key or name, field.read) for name, field in own.items()]

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Name each field as one that is always there."""
        field_obj.required = True

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """Give an object, or several, for JSON: one call a field, since marshmallow's own takes twice as long."""
        if self.many if many is None else many:
            return [{name: read(one) for name, read in self._reads} for one in obj]
        return {name: read(obj) for name, read in self._reads}


class _Field(fields.Field[Any]):
    """A value that is read from the row, or, `beside` it, from the object that holds the row.

    `source`: the name of its attribute, or a path, if that is not the field's own name; or a function.
    """

    def __init__(
        self,
        source: str | Read | None = None,
        *,
        null: bool = False,
        beside: bool = False,
        about: str = "",
        **options: Any,
    ) -> None:
        shape = options.pop("metadata", {}) | ({"description": about} if about else {})
        super().__init__(allow_none=null, metadata=shape, **options)
        self.source, self.beside = source, beside

    def _bind_to_schema(self, field_name: str, parent: Any) -> None:
        super()._bind_to_schema(field_name, parent)
        row = "" if self.beside else getattr(parent, "row", "")
        if callable(self.source):
            read = _of(row, self.source) if row else self.source
        else:
            read = attrgetter(".".join(filter(None, (row, self.source or field_name))))
        self.read = self.shown(read)

    def shown(self, read: Read) -> Read:
        """Give the function that makes of the object what JSON has, by one that reads the value."""
        return read


def _of(row: str, read: Read) -> Read:
    return lambda shown: read(getattr(shown, row))


class Text(_Field, fields.String):
    """A text."""

    def __init__(self, source: Any = None, *, pattern: str = "", format: str = "", **options: Any) -> None:
        shape = {name: given for name, given in (("pattern", pattern), ("format", format)) if given}
        super().__init__(source, metadata=shape, **options)


class Word(_Field, fields.String):
    """One of some words."""

    def __init__(self, words: Iterable[str], source: Any = None, **options: Any) -> None:
        super().__init__(source, validate=OneOf([str(word) for word in words]), **options)


class Secret(_Field, fields.String):
    """Something that is not shown: dots where there is one, else null."""

    def __init__(self) -> None:
        super().__init__(null=True, about="dots where there is one")

    def shown(self, read: Read) -> Read:
        """Give dots."""
        return lambda obj: DOTS if read(obj) else None


class Integer(_Field, fields.Integer):
    """A whole number."""


class Count(Integer):
    """A whole number that is not negative."""

    def __init__(self, source: Any = None, *, most: int | None = None, **options: Any) -> None:
        super().__init__(source, validate=Range(0, most), **options)


class Number(_Field, fields.Float):
    """A number."""


class Boolean(_Field, fields.Boolean):
    """True or false."""


class Time(_Field, fields.DateTime):
    """A time as RFC 3339 in UTC."""

    def shown(self, read: Read) -> Read:
        """Write the time."""
        return lambda obj: None if (value := read(obj)) is None else stamp(value)


class Value(_Field, fields.Raw):
    """A value of one of several types, by their names in JSON Schema."""

    def __init__(self, *types: str, source: Any = None, **options: Any) -> None:
        super().__init__(source, metadata={"type": list(types)}, **options)


class Texts(_Field, fields.List):
    """Some texts, which are some of `words` where these are given."""

    def __init__(self, source: Any = None, *, words: Sequence[str] = (), **options: Any) -> None:
        super().__init__(source, cls_or_instance=Word(words) if words else Text(), **options)


class ByKey(_Field, fields.Dict):
    """An object that does not have each of its keys.

    `values` describes what they stand for, where that is known; `properties` names the keys, where these are known.
    """

    def __init__(
        self,
        source: Any = None,
        *,
        values: fields.Field[Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        shape = {"properties": properties, "additionalProperties": False} if properties else {}
        super().__init__(source, keys=fields.String(), values=values, metadata=shape, **options)


class One(_Field, fields.Nested):
    """An object within the object."""

    def __init__(self, nested: type[Schema], source: Any = None, **options: Any) -> None:
        super().__init__(source, nested=nested, **options)

    def shown(self, read: Read) -> Read:
        """Give the object as its own schema does."""
        dump = self.schema.dump
        return lambda obj: None if (value := read(obj)) is None else dump(value)


class Many(One):
    """Objects within the object."""

    def __init__(self, nested: type[Schema], source: Any = None, **options: Any) -> None:
        super().__init__(nested, source, many=True, **options)
