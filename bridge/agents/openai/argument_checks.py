"""Checks what a model hands to a function against the function's JSON Schema, in bounded time. Pure.

A model says what its caller makes it say, and all calls wait while its arguments are checked. So they may be only
so long, what takes the square of their length is done otherwise, and of many faults the first few are looked at.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry

from bridge.agents.patterns import Pattern

MAX_CHARACTERS: Final = 20_000
"""Of all arguments of one function call, as JSON: some ten pages of text."""
_FAULTS: Final = 20
_LONGEST_REASON: Final = 300


class ArgumentCheck:
    """The check of one function's arguments. Looks nothing up elsewhere: a `$ref` leads within the schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._validator = _Validator(schema, registry=Registry())

    @staticmethod
    def check_schema(schema: Mapping[str, Any]) -> None:
        """Raise jsonschema's SchemaError for what is no schema, or has a pattern that is none."""
        Draft202012Validator.check_schema(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)

    def read(self, text: str) -> dict[str, Any]:
        """Return the arguments. Raises ValueError that says to the model what is wrong with them."""
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"the arguments have {len(text)} characters: give {MAX_CHARACTERS} at most")
        if not text.lstrip().startswith("{"):
            raise ValueError("the arguments are no JSON object")  # Before anything is nested without end.
        try:
            arguments = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(f"the arguments are no JSON: {error}") from None
        try:
            fault = best_match(islice(self._validator.iter_errors(arguments), _FAULTS))
        except Exception as error:  # noqa: BLE001  A schema, or a number, that the library is not made for.
            raise ValueError(f"the arguments cannot be checked: {error}"[:_LONGEST_REASON]) from None
        if fault is not None:
            where = ".".join(str(part) for part in fault.absolute_path)
            raise ValueError(f"{where + ': ' if where else ''}{fault.message}"[:_LONGEST_REASON])
        assert isinstance(arguments, dict)  # noqa: S101  It begins with a brace.
        return arguments


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and _compiled(pattern).search(instance) is None:
        yield ValidationError(f"{instance[:100]!r} does not match {pattern!r}")


def _unique_items(validator: Any, wanted: bool, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if wanted and validator.is_type(instance, "array"):
        # The library compares each item with each other.
        seen = {msgspec.json.encode(item, order="sorted") for item in instance}
        if len(seen) < len(instance):
            yield ValidationError("it has an item twice")


_compiled = functools.lru_cache(maxsize=200)(Pattern)
_Validator: Any = extend(  # type: ignore[no-untyped-call]  # its stubs have no types here
    Draft202012Validator, {"pattern": _pattern, "uniqueItems": _unique_items}
)
