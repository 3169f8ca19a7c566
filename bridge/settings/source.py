"""Where settings come from: the TOML file, the environment over it, the command line over both.

Whatever is wrong ends as one `SettingsError` with a line for each mistake; a line names the setting by both its
names, the value unless it is a secret, and what is wanted.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined
from pydantic_settings import EnvSettingsSource

from bridge.errors import SettingsError
from bridge.settings import Settings
from bridge.settings.agents import HttpTool
from bridge.settings.calls import NumberAgent, NumberHours, NumberSettings, NumberStt, NumberTts, NumberTurns
from bridge.settings.record import ApiToken
from bridge.settings.sentences import sentences_of

DEFAULT_FILES = (Path("config/bridge.toml"), Path("bridge.toml"))
"""Looked for in the working folder, in this order; only the first that is there is read."""

_TABLES: Mapping[str, type[BaseModel]] = {"openai.tools": HttpTool, "api.tokens": ApiToken}
"""Settings that are lists of tables."""

# Kubernetes gives every container such variables for each service of its namespace: one that is called
# "bridge" would otherwise stop the bridge from starting.
_SERVICE_LINK = re.compile(r"^[A-Z0-9_]*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting, for help texts and checks."""

    section: str
    key: str
    wanted: str
    """What values are right, such as `a whole number from 20 to 200`."""
    default: Any
    secret: bool
    model: type[BaseModel]
    """The section's class."""
    field: str
    """The setting's name in it."""

    @property
    def about(self) -> str:
        """Its sentence, with the unit."""
        return sentences_of(self.model).get(self.field, "")

    @property
    def name(self) -> str:
        """`section.key`, as in the TOML file."""
        return f"{self.section}.{self.key}"

    @property
    def environment(self) -> str:
        """The environment variable."""
        return f"BRIDGE_{self.section}__{self.key}".upper()

    @property
    def default_text(self) -> str:
        """The default as the TOML file would have it; empty where there is none."""
        return _as_toml(self.default)


def load_settings(
    config: Path | None = None,
    *,
    files: Sequence[Path] = DEFAULT_FILES,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """The settings of this process.

    `config` names the TOML file; None takes the first of `files` that is there, or none. `environment` is
    `os.environ` unless given. `overrides` (section → key → value) win over everything: the command line.
    Raises `SettingsError`, with one line for each mistake.
    """
    given = os.environ if environment is None else environment
    path = config or next((file for file in files if file.is_file()), None)
    table = _read_toml(path) if path else {}
    mistakes = list(_unknown_variables(given)) + list(_unknown_keys(table, path))
    from_environment = _read_environment(given)
    merged: dict[str, Any] = {}
    for source in (table, from_environment, overrides or {}):
        _merge(merged, source)
    speech = merged.setdefault("speech", {})
    if isinstance(speech, dict) and not speech.get("api_key") and (key := given.get("CARTESIA_API_KEY", "")):
        speech["api_key"] = key
    model = merged.setdefault("openai", {})
    if isinstance(model, dict) and not model.get("api_key") and (key := given.get("OPENAI_API_KEY", "")):
        model["api_key"] = key
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        mistakes += [_sentence(detail) for detail in error.errors() if detail["type"] != "extra_forbidden"]
    else:
        if not mistakes:
            return settings
    raise SettingsError("\n".join(mistakes))


def overlooked_file() -> str:
    """A sentence about a default file that is there but not read, because another one is; empty if none is."""
    there = [str(file) for file in DEFAULT_FILES if file.is_file()]
    return f"{there[1]} is not read, because {there[0]} is there: name it with --config" if len(there) > 1 else ""


def rows() -> list[SettingRow]:
    """Every setting, section by section (the `[[numbers]]` tables apart)."""
    found = []
    for section, field in Settings.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            defaults = field.get_default()
            found += [_row(section, model, name, entry, defaults) for name, entry in model.model_fields.items()]
    return found


def _row(section: str, model: type[BaseModel], name: str, field: FieldInfo, defaults: BaseModel) -> SettingRow:
    default = None if field.default is PydanticUndefined else field.default
    if field.default_factory is not None:
        default = getattr(defaults, name)
    return SettingRow(
        section=section,
        key=field.alias or name,
        wanted=_wanted(field),
        default=default,
        secret=field.annotation is SecretStr or not field.repr,
        model=model,
        field=name,
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path} is not valid TOML: it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text: byte {error.start} does not fit") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_environment(given: Mapping[str, str]) -> dict[str, Any]:
    known = {row.environment for row in rows()}
    source = EnvSettingsSource(Settings)
    # An empty variable counts as absent: compose files and CI pass on what they do not have as "".
    source.env_vars = {name.lower(): value for name, value in given.items() if name.upper() in known and value}
    return source()


def _unknown_variables(given: Mapping[str, str]) -> Iterator[str]:
    known = [row.environment for row in rows()]
    for name in sorted(given):
        upper = name.upper()
        if not upper.startswith("BRIDGE_") or upper in known or _is_service_link(upper, given[name]):
            continue
        yield f"{name} is not a setting{_did_you_mean(upper, known)}"


def _is_service_link(name: str, value: str) -> bool:
    return bool(_SERVICE_LINK.match(name)) or (name.endswith("_PORT") and value.startswith(("tcp://", "udp://")))


def _unknown_keys(table: Mapping[str, Any], path: Path | None) -> Iterator[str]:
    sections = list(Settings.model_fields)
    names = [row.name for row in rows()]
    for section, entries in table.items():
        if section not in sections:
            yield f"[{section}] in {path} is not a section{_did_you_mean(section, sections)}"
        elif section == "numbers":
            yield from _unknown_number_keys(entries, path)
        elif isinstance(entries, Mapping):
            for key in entries:
                name = f"{section}.{key}"
                if name not in names:
                    yield f"{name} in {path} is not a setting{_did_you_mean(name, names)}"
                elif name in _TABLES:
                    yield from _unknown_table_keys(name, entries[key], path)


def _unknown_table_keys(name: str, entries: Any, path: Path | None) -> Iterator[str]:
    known = list(_TABLES[name].model_fields)
    for index, entry in enumerate(entries if isinstance(entries, list) else [], start=1):
        for key in entry if isinstance(entry, Mapping) else ():
            if key not in known:
                where = f"[[{name}]] table {index} of {path}"
                yield f"{key} in {where} is not a setting{_did_you_mean(key, known)}"


def _unknown_number_keys(entries: Any, path: Path | None) -> Iterator[str]:
    parts: dict[str, type[BaseModel]] = {
        "agent": NumberAgent,
        "stt": NumberStt,
        "tts": NumberTts,
        "turns": NumberTurns,
        "hours": NumberHours,
    }
    own = [name for name in NumberSettings.model_fields if name not in parts]
    known = [*own, *(f"{name}.{key}" for name, part in parts.items() for key in part.model_fields)]
    for index, entry in enumerate(entries if isinstance(entries, list) else [], start=1):
        for key, value in entry.items() if isinstance(entry, Mapping) else ():
            nested = isinstance(value, Mapping) and key in parts
            for name in [f"{key}.{inner}" for inner in value] if nested else [key]:
                if name not in known and name not in parts:
                    where = f"[[numbers]] table {index} of {path}"
                    yield f"{name} in {where} is not a setting{_did_you_mean(name, known)}"


def _did_you_mean(name: str, known: list[str]) -> str:
    # The right key in the wrong section is as common as a misspelt key.
    separator = "__" if name.startswith("BRIDGE_") else "."
    key = separator + name.rpartition(separator)[2]
    close = [other for other in known if other.endswith(key)] if separator in name else []
    close = close if len(close) == 1 else difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f": did you mean {close[0]}?" if close else ": phone-bridge serve --help lists them all"


def _merge(into: dict[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _sentence(detail: ErrorDetails) -> str:
    place = detail["loc"]
    row = next((row for row in rows() if place[:2] == (row.section, row.key)), None)
    own_words = detail["msg"].removeprefix("Value error, ") if detail["type"] == "value_error" else ""
    if row is not None and len(place) > 2 and row.name in _TABLES:
        return _table_sentence(detail, row)
    if row is None:
        if not place:
            return own_words
        where = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
        return f"{where} is {detail['input']!r}: {own_words or detail['msg']}"
    value = "" if row.secret else f" is {detail['input']!r}"
    return f"{row.name} ({row.environment}){value}: {own_words or 'wanted ' + row.wanted}"


def _table_sentence(detail: ErrorDetails, row: SettingRow) -> str:
    """About one table of a list of them. Tokens, and the values of headers, are secrets."""
    place = detail["loc"]
    inner = [str(part + 1) if isinstance(part, int) else part for part in place[2:]]
    own_words = detail["msg"].removeprefix("Value error, ")
    shown = "" if {"headers", "token"} & {*inner} or detail["type"] == "missing" else f" is {detail['input']!r}"
    return f"{row.name} ({row.environment}), {'.'.join(inner)}{shown}: {own_words}"


def _wanted(field: FieldInfo) -> str:
    """What a field takes, in words, from its type and its limits."""
    kinds = [kind for kind in _members(field.annotation) if kind is not type(None)]
    kind = kinds[0]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind in (int, float):
        return ("a whole number" if kind is int else "a number") + _limits(field)
    plain = {bool: "true or false", str: "a text", SecretStr: "a text", Path: "a folder"}
    if isinstance(kind, type) and kind in plain:
        pattern = next((item.pattern for item in field.metadata if getattr(item, "pattern", None)), None)
        return "a date such as 2026-03-01" if pattern else plain[kind]
    if get_origin(kind) is tuple:
        return "a list of texts" if get_args(kind)[0] is str else "a list of tables"
    return "a table of texts"


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _limits(field: FieldInfo) -> str:
    limits = {
        name: getattr(item, name) for item in field.metadata for name in ("ge", "gt", "le") if hasattr(item, name)
    }
    low = f"{limits['ge']:g}" if "ge" in limits else f"over {limits['gt']:g}" if "gt" in limits else ""
    if low and "le" in limits:
        return f" {low} to {limits['le']:g}" if low.startswith("over") else f" from {low} to {limits['le']:g}"
    return f" from {low}" if low else ""


def _as_toml(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, SecretStr):
        return '""'
    if isinstance(value, tuple):
        return "[" + ", ".join(_as_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {_as_toml(item)}' for key, item in value.items()) + "}"
    return f"{value:g}" if isinstance(value, int | float) else f'"{value}"'
