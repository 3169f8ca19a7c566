"""JSON Schema (draft 2020-12) of what a webhook agent is sent and what it may answer.

Made from the structs that write and read the messages, so that it cannot say anything else than the code does.
What the code checks beyond the types of fields stands here as well, in `_CHECKS`; the tests hold both together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bridge.agents import action_json
from bridge.agents.action_checks import MAX_KEYTERMS
from bridge.agents.action_json import MAX_ACTIONS
from bridge.agents.webhook.wire import QuestionBody

DRAFT = "https://json-schema.org/draft/2020-12/schema"
ADDRESS = "/api/agent.schema.json"
"""Path at which a bridge serves `document`."""

_NOT_ACTIONS = {"_Item", "_ShortSay"}
"""Structs of `action_json` that are the outside of an answer and not actions."""

_BARGE_IN = {"pattern": "^(speech|voice|keys|never|words:0*[1-9][0-9]*)$"}
_WAIT = {"exclusiveMinimum": 0, "maximum": 600}
_CHECKS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "say": {"barge_in": _BARGE_IN},
    "ShortSay": {"barge_in": _BARGE_IN},
    "play": {"source": {"minLength": 1}, "loop": {"minimum": 0}, "barge_in": _BARGE_IN},
    "send_digits": {"digits": {"pattern": "^[0-9*#A-DwW]+$"}},
    "record_message": {
        "max_s": {"exclusiveMinimum": 0, "maximum": 3600},
        "silence_s": {"exclusiveMinimum": 0, "maximum": 60},
        "terminator": {"pattern": "^[0-9*#A-D]?$"},
    },
    "gather_digits": {
        "length": {"minimum": 1, "maximum": 100},
        "terminator": {"pattern": "^[0-9*#A-D]?$"},
        "first_s": _WAIT,
        "next_s": _WAIT,
    },
    "transfer": {
        "to": {"pattern": r"^(\+[1-9][0-9]{6,14}|sips?:\S+)$"},
        "timeout_s": {"minimum": 5, "maximum": 600},
        "digits": {"pattern": "^[0-9*#A-DwW]*$"},
    },
    "set": {"voice": {"minLength": 1}, "language": {"minLength": 1}},
    "Tuning": {
        "model": {"minLength": 1},
        "language": {"minLength": 1},
        "keyterms": {"maxItems": MAX_KEYTERMS},
        "start_threshold": {"minimum": 0.5, "maximum": 0.9},
        "eager_end_threshold": {"minimum": 0.3, "maximum": 0.6},
        "end_threshold": {"minimum": 0.05, "maximum": 0.5},
        "end_timeout_ms": {"minimum": 640, "maximum": 11200},
    },
}
"""Definition → field → what a value must be besides its type."""

_CHANGED_VOICE, _CHANGED_LANGUAGE = (
    {"required": [name], "properties": {name: {"type": "string"}}} for name in ("voice", "language")
)
_CHANGED_RECORDING = {"required": ["recording"], "properties": {"recording": {"enum": ["on", "paused"]}}}
_CHANGED_STT = {"required": ["stt"], "properties": {"stt": {"type": "object", "minProperties": 1}}}
_UNTYPED = {"not": {"required": ["type"]}}
_LISTED = {
    "title": "Actions in the order in which they are carried out",
    "type": "object",
    "properties": {
        "actions": {
            "type": "array",
            "maxItems": MAX_ACTIONS,
            "items": {"anyOf": [{"$ref": "#/$defs/Action"}, {"$ref": "#/$defs/ShortSay"}]},
        }
    },
    "required": ["actions"],
    **_UNTYPED,
}
_NOTHING = {"title": "Nothing to say", "type": "object", "maxProperties": 0}


def document() -> dict[str, Any]:
    """Return one schema for both directions: a valid instance is a question or one item of an answer.

    `#/$defs/Question` is the body of a request. `#/$defs/Answer` is an `application/json` answer, a line of an
    `application/x-ndjson` one, and the data of a server-sent event that begins with `{`.
    """
    defs = {**_questions(), **_answers()}
    return {
        "$schema": DRAFT,
        "title": "phone-bridge: webhook agents",
        "description": "What a webhook agent is sent (Question), and what it may answer (Answer).",
        "anyOf": [{"$ref": "#/$defs/Question"}, {"$ref": "#/$defs/Answer"}],
        "$defs": dict(sorted(defs.items())),
    }


def documents() -> dict[str, dict[str, Any]]:
    """Return a schema of its own for each direction: `question` and `answer`."""
    return {
        "question": _one("Question", "What phone-bridge posts to a webhook agent.", _questions()),
        "answer": _one("Answer", "What a webhook agent answers in JSON.", _answers()),
    }


def write(path: Path) -> None:
    """Write `document` as it is shipped, `config/agent.schema.json`. Raises OSError."""
    path.write_text(text(), encoding="utf-8")


def text() -> str:
    """Return `document` as JSON for people: indented, with a line feed at its end."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def actions() -> dict[str, type[msgspec.Struct]]:
    """Return the struct of each action by its `type`: those that `action_json` reads answers with."""
    found = {}
    for name, value in vars(action_json).items():
        is_struct = isinstance(value, type) and issubclass(value, msgspec.Struct)
        if is_struct and value.__module__ == action_json.__name__ and name not in _NOT_ACTIONS:
            found[_kind(name)] = value
    return found


def _kind(name: str) -> str:
    """`_HangUp` → `hang_up`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")


def _one(name: str, title: str, defs: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": DRAFT, "title": title, "$ref": f"#/$defs/{name}", "$defs": dict(sorted(defs.items()))}


def _questions() -> dict[str, Any]:
    return _generated([QuestionBody])


def _generated(structs: list[type[msgspec.Struct]]) -> dict[str, Any]:
    """The definitions that msgspec makes of structs, without the marks of their Python names."""
    _, found = msgspec.json.schema_components(structs, ref_template="#/$defs/{name}")
    return {_plain(name): _tidy(schema) for name, schema in found.items()}


def _plain(name: str) -> str:
    return name.removesuffix("Body").strip("_")


def _tidy(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_tidy(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _tidy(value) for key, value in schema.items()}
    if isinstance(target := kept.get("$ref"), str):
        kept["$ref"] = f"#/$defs/{_plain(target.rpartition('/')[2])}"
    if isinstance(title := kept.get("title"), str):
        kept["title"] = _plain(title)
    return kept


def _answers() -> dict[str, Any]:
    kinds = actions()
    defs = _generated([*kinds.values(), vars(action_json)["_ShortSay"]])
    for kind, struct in kinds.items():
        defs[kind] = _typed(kind, defs.pop(_plain(struct.__name__)))
    for name, checks in _CHECKS.items():
        fields = defs.get(name, {}).get("properties", {})
        for field in checks.keys() & fields.keys():
            _add(fields[field], checks[field])
    defs["set"]["anyOf"] = [_CHANGED_VOICE, _CHANGED_LANGUAGE, _CHANGED_STT, _CHANGED_RECORDING]
    defs["ShortSay"] |= _UNTYPED
    action = {"title": "One action", "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in sorted(kinds)]}
    forms = [{"$ref": f"#/$defs/{name}"} for name in ("ShortSay", "Action", "Actions", "Nothing")]
    return defs | {"Action": action, "Actions": _LISTED, "Nothing": _NOTHING, "Answer": {"anyOf": forms}}


def _typed(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an action, with the `type` that tells it from the others."""
    properties = {"type": {"const": kind}, **schema.get("properties", {})}
    return {**schema, "title": kind, "properties": properties, "required": ["type", *schema.get("required", [])]}


def _add(schema: dict[str, Any], check: Mapping[str, Any]) -> None:
    """Put a check where it belongs: on the branch that is not null."""
    for branch in schema.get("anyOf", [schema]):
        if branch.get("type") != "null":
            branch.update(check)
