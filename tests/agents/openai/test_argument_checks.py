"""Arguments of a model's function calls: checked by the schema, and in bounded time, whatever they are."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Any

import pytest
from jsonschema.exceptions import SchemaError

from bridge.agents.openai.argument_checks import MAX_CHARACTERS, ArgumentCheck


def check(**properties: Any) -> ArgumentCheck:
    return ArgumentCheck({"type": "object", "properties": properties})


def test_arguments_that_fit_are_read() -> None:
    asked = check(day={"type": "string", "pattern": "^[a-z]+$"}, ids={"uniqueItems": True})
    arguments = {"day": "monday", "ids": [1, [1], {"a": 1}, {"a": 2}]}
    assert asked.read(json.dumps(arguments)) == arguments


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "the arguments are no JSON"),
        ("[" * 10_000, "the arguments are no JSON"),
        ('{"day": 1}', "day: 1 is not of type 'string'"),
        ('{"day": "Monday 1"}', "day: 'Monday 1' does not match '^[a-z]+$'"),
        ('{"ids": [{"a": 1, "b": 2}, 3, {"b": 2, "a": 1}]}', "ids: it has an item twice"),
        (f'{{"price": {"9" * 400}}}', "the arguments cannot be checked: "),
        (f'{{"day": "{"x" * MAX_CHARACTERS}"}}', "characters: give 20000 at most"),
        ("[]", "the arguments are no JSON object"),
    ],
)
def test_what_is_wrong_is_told_to_the_model(text: str, said: str) -> None:
    asked = check(
        day={"type": "string", "pattern": "^[a-z]+$"}, ids={"uniqueItems": True}, price={"multipleOf": 0.01}
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        asked.read(text)


def test_arguments_that_are_no_object_are_none_even_where_the_schema_would_take_them() -> None:
    with pytest.raises(ValueError, match="the arguments are no JSON object"):
        ArgumentCheck({}).read("[]")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"uniqueItems": True}, [{"a": number} for number in range(1900)]),
        ({"items": {"type": "string"}}, [1] * 6000),
        ({"pattern": "(x+x+)+y"}, "x" * 3000),
    ],
)
def test_no_arguments_hold_up_the_calls(schema: dict[str, Any], value: Any) -> None:
    began = time.perf_counter()
    with contextlib.suppress(ValueError):
        check(value=schema).read(json.dumps({"value": value}))
    assert time.perf_counter() - began < 0.5


def test_a_pattern_that_is_none_is_found_when_the_schema_is_read() -> None:
    with pytest.raises(SchemaError, match="regex"):
        ArgumentCheck.check_schema({"type": "object", "properties": {"day": {"pattern": "["}}})
