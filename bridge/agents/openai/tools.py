"""What a model may do with a call, as functions of the chat-completions protocol, and what it asks of them.

Pure. A function call becomes an action of the vocabulary, a request to an HTTP tool, or a refusal whose reason is
written for the model, which may then do better.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

import msgspec
from jsonschema.exceptions import SchemaError
from yarl import URL

from bridge.agents.action_json import MALFORMED, Refused, parse_item
from bridge.agents.openai.argument_checks import ArgumentCheck
from bridge.agents.openai.options import HttpToolOptions
from bridge.agents.openai.wire import ToolCall
from bridge.conversation.actions import Action
from bridge.errors import SettingsError

_PLACE = re.compile(r"\{([A-Za-z0-9_-]+)\}")
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A request to an HTTP tool."""

    tool: HttpToolOptions
    url: URL
    body: bytes | None


Wanted: TypeAlias = Action | HttpCall | Refused


def _object(required: Sequence[str] = (), **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_KEYS = {"type": "string", "description": "Keys 0-9 * #; w waits half a second."}
_FUNCTIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "transfer": (
        "Connect the caller with a person. Say first, in the same answer, that you do so. If nobody answers, the"
        " caller comes back to you.",
        _object(
            ("to",),
            to={"type": "string", "description": "Whom to connect the caller with."},
            summary={
                "type": "string",
                "description": "What the person is told before taking the call; leave it out to connect at once.",
            },
        ),
    ),
    "hang_up": (
        "End the call, once everything you say in this answer was heard. Say good-bye in the same answer.",
        _object(reason={"type": "string", "description": "Why the call is over, for the record."}),
    ),
    "send_digits": (
        "Press keys on the phone, such as in the menu of another company's answering system.",
        _object(("digits",), digits=_KEYS),
    ),
    "gather_digits": (
        "Let the caller enter a number with the keys of the phone. Say in the same answer what is to be entered."
        " The keys are told to you when they are complete.",
        _object(
            length={"type": "integer", "description": "How many keys there will be; leave it out if it varies."},
            terminator={"type": "string", "description": "The key that ends the number; # if left out."},
            masked={"type": "boolean", "description": "True for secrets, such as card numbers."},
        ),
    ),
    "play": (
        "Play a sound to the caller.",
        _object(
            ("source",),
            source={
                "type": "string",
                "description": "The http(s) URL of a WAV file, or the name of a known sound.",
            },
            loop={"type": "integer", "description": "How often; 1 if left out."},
        ),
    ),
    "record_message": (
        "Let the caller leave a message. Say in the same answer that they may speak now, and press # at the end.",
        _object(max_s={"type": "number", "description": "Longest message, in seconds."}),
    ),
    "set": (
        "Change the language or the voice that you speak with, for the rest of the call, or pause its recording.",
        _object(
            language={"type": "string", "description": "Language tag, such as es."},
            voice={"type": "string", "description": "Id of the voice."},
            recording={
                "type": "string",
                "enum": ["on", "paused"],
                "description": "Whether the call's sound is recorded from now on.",
            },
        ),
    ),
    "note": (
        "Keep data with the record of the call. The caller hears nothing of it.",
        _object(("data",), data={"type": "object", "description": "What is to be kept, by name."}),
    ),
}
"""How each action of the vocabulary is described to a model, and which arguments it is offered."""

ACTIONS = tuple(_FUNCTIONS)


class Toolbox:
    """The functions that a model is offered, and what a call of one means.

    `targets` are the people whom it may transfer to, by name; without any there is no such function. Raises
    SettingsError for actions that do not exist, and for HTTP tools that cannot work.
    """

    def __init__(
        self, actions: Sequence[str], targets: Mapping[str, str], http_tools: Sequence[HttpToolOptions]
    ) -> None:
        for action in actions:
            if action not in _FUNCTIONS:
                raise SettingsError(
                    f"openai.actions (BRIDGE_OPENAI__ACTIONS) has {action!r}: wanted some of {', '.join(ACTIONS)}"
                )
        self._targets = dict(targets)
        offered = [action for action in dict.fromkeys(actions) if action != "transfer" or targets]
        self._checks = {action: ArgumentCheck(self._schema(action)) for action in offered}
        self._http: dict[str, HttpToolOptions] = {}
        for tool in http_tools:
            self._add(tool)
        self.functions = [self._function(action, _FUNCTIONS[action][0], self._schema(action)) for action in offered]
        """The functions as a request has them."""
        self.functions += [self._function(tool.name, tool.description, tool.parameters) for tool in http_tools]
        self.acts = any(tool.acts for tool in http_tools)
        """Whether some HTTP tool changes something."""

    def wanted(self, call: ToolCall) -> Wanted:
        """Tell what a function call asks for. Never raises; a refusal says to the model what is wrong."""
        check = self._checks.get(call.name)
        if check is None:
            return Refused(call.name, f"there is no function {call.name[:64]}; there are {', '.join(self._checks)}")
        try:
            arguments = check.read(call.arguments)
        except ValueError as error:
            return Refused(call.name, str(error))
        if (tool := self._http.get(call.name)) is not None:
            return _http_call(tool, arguments)
        if call.name == "transfer":
            arguments["to"] = self._targets[arguments["to"]]
        # From here on it is an action like that of any other agent, with the same checks.
        pieces = parse_item(msgspec.json.encode({**arguments, "type": call.name}))
        return pieces[0] if pieces else Refused(MALFORMED, "nothing is asked for")

    def _schema(self, action: str) -> dict[str, Any]:
        schema = _FUNCTIONS[action][1]
        if action != "transfer":
            return schema
        named = {**schema["properties"]["to"], "enum": list(self._targets)}
        return {**schema, "properties": {**schema["properties"], "to": named}}

    def _function(self, name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "type": "function",
            "function": {"name": name, "description": description, "parameters": dict(parameters)},
        }

    def _add(self, tool: HttpToolOptions) -> None:
        if tool.name in _FUNCTIONS or tool.name in self._http:
            why = "an action has that name" if tool.name in _FUNCTIONS else "another tool has that name"
            raise _wrong(tool, f"{why}: give it one of its own")
        if tool.parameters.get("type") != "object":
            raise _wrong(tool, 'parameters: wanted a JSON Schema with type = "object"')
        try:
            ArgumentCheck.check_schema(tool.parameters)
        except SchemaError as error:
            raise _wrong(tool, f"parameters are no JSON Schema: {error.message[:_LONGEST_REASON]}") from None
        try:
            url = URL(_PLACE.sub("x", tool.url))
            known = bool(url.host) and url.scheme in {"http", "https"}
        except ValueError:
            known = False
        origin = re.match(r"https?://[^/?#{}]+(?=[/?#]|$)", tool.url)
        if not known or origin is None:
            raise _wrong(tool, f"url is {tool.url!r}: wanted an http(s) URL, with arguments only behind its host")
        declared = tool.parameters.get("properties") or {}
        for place in _PLACE.findall(tool.url):
            if place not in declared:
                raise _wrong(tool, f"url has {{{place}}}, which is none of its parameters")
        self._http[tool.name] = tool
        self._checks[tool.name] = ArgumentCheck(tool.parameters)


def _wrong(tool: HttpToolOptions, what: str) -> SettingsError:
    return SettingsError(f"openai.tools, {tool.name}: {what}")


def _http_call(tool: HttpToolOptions, arguments: dict[str, Any]) -> Wanted:
    """Write the request. An argument in the URL stays one segment of it, whatever it holds."""
    rest = dict(arguments)
    path, question_mark, query = tool.url.partition("?")
    filled = []
    for part in (path, query):
        text = part
        for place in _PLACE.findall(part):
            value = _plain(arguments.get(place))
            rest.pop(place, None)
            if value is None or value.strip(".") == "":
                return Refused(tool.name, f"{place}: wanted a text or a number that is not empty")
            text = text.replace(f"{{{place}}}", quote(value, safe=""))
        filled.append(text)
    url = URL(question_mark.join(filled) if question_mark else filled[0])
    if tool.method == "GET":
        return HttpCall(tool, url.extend_query(_query(rest)) if rest else url, None)
    return HttpCall(tool, url, msgspec.json.encode(rest))


def _plain(value: Any) -> str | None:
    """A single value as it stands in a URL; None: it is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _query(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The arguments as a query: a list repeats its name, and an object is written as JSON."""
    pairs = []
    for name, value in arguments.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                plain = _plain(item)
                pairs.append((name, msgspec.json.encode(item).decode() if plain is None else plain))
    return pairs
