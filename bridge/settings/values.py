"""How single values of settings are read: texts of the environment become lists, maps, URLs and numbers.

Every function raises ValueError with a sentence that says what is wanted; pydantic carries it to the person.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import urlsplit


def lower(value: Any) -> Any:
    """A text in lower case; anything else as it is."""
    return value.lower() if isinstance(value, str) else value


def barge_in(value: Any) -> Any:
    """A rule for what takes the floor from the agent, in lower case."""
    value = lower(value)
    if not isinstance(value, str) or not re.fullmatch(r"speech|voice|keys|never|words:[1-9]\d?", value):
        raise ValueError("wanted speech, voice, keys, never, or words:N with N from 1 to 99")
    return value


def agent_kind(value: Any) -> Any:
    """A kind of agent that can be had: built in, or brought along by an installed distribution."""
    built_in = ("webhook", "relay", "openai", "flow", "python", "echo", "none")
    if value not in built_in and value not in (others := entry_points(group="phone_bridge.agents").names):
        raise ValueError("wanted one of " + ", ".join((*built_in, *sorted(others))))
    return value


def comma_list(value: Any) -> Any:
    """The items of `a, b, c` or of a JSON array; a list of the TOML file as it is."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            raise ValueError('wanted texts separated by commas, or a JSON array such as ["one", "two"]') from None
    return [item.strip() for item in value.split(",") if item.strip()]


def json_list(value: Any) -> Any:
    """The items of a JSON array; a list of the TOML file as it is."""
    if not isinstance(value, str):
        return value
    try:
        items = json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        items = None
    if not isinstance(items, list):
        raise ValueError('wanted a JSON array of objects such as [{"name": "…"}]')  # noqa: TRY004  pydantic's way
    return items


def header_map(value: Any) -> Any:
    """The entries of `Name=value, Name=value` or of a JSON object; a table of the TOML file as it is."""
    if not isinstance(value, str):
        return value
    wanted = 'wanted Name=value, Name=value or a JSON object such as {"Name": "value"}'
    if value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            raise ValueError(wanted) from None
    pairs = [item.partition("=") for item in value.split(",") if item.strip()]
    if not all(sign and name.strip() for name, sign, _ in pairs):
        raise ValueError(wanted)
    return {name.strip(): text.strip() for name, _, text in pairs}


def http_url(value: str, or_else: str = "", schemes: Collection[str] = ("http", "https")) -> str:
    """`value` without a final slash, if it is an absolute http(s) URL. `or_else` names what else is allowed."""
    wanted = "wanted an http(s) URL such as https://example.com" + (f", or {or_else}" if or_else else "")
    try:
        parts = urlsplit(value)
        valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(letter.isspace() for letter in value):
        raise ValueError(wanted)
    return value.rstrip("/")


def origin(value: str) -> str:
    """`value` as a bare origin in lower case, if Twilio could reach it: https, or http on this very machine.

    Twilio signs the whole URL, so a path, a query or a user name here would make every signature wrong.
    """
    parts = urlsplit(http_url(value))
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("wanted only the origin, without path, query or user, such as https://voice.example.com")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("wanted https://: Twilio opens media streams over TLS only (http is for 127.0.0.1)")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this very machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def networks(value: tuple[str, ...]) -> tuple[str, ...]:
    """Networks in CIDR form, or single addresses."""
    for text in value:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text!r} is no network: wanted such as 10.0.0.0/8, or an address") from None
    return value


def dial_target(value: str, *, conference: bool = False) -> str:
    """Whom callers are connected with: a number, a `sip:` or `client:` address, and perhaps `conference:NAME`."""
    if conference and re.match(r"conference:\S", value):
        return value.rstrip()
    try:
        return str(phone_number(value))
    except ValueError as error:
        raise ValueError(f"{error}" + (", or conference:NAME" if conference else "")) from None


def phone_number(value: Any) -> Any:
    """An E.164 number without the blanks, dashes and brackets people write; `sip:` and `client:` as they are."""
    if not isinstance(value, str) or re.match(r"(sip|sips|client):\S+$", value):
        return value
    bare = re.sub(r"[\s().-]", "", value)
    if not re.fullmatch(r"\+[1-9]\d{1,14}", bare):
        raise ValueError("wanted a number such as +15551234567, or a sip: or client: address")
    return bare


def database_url(value: str) -> str:
    """`value`, if it names a database that calls can be kept in: a file of SQLite, or a PostgreSQL server."""
    wanted = "wanted sqlite:///FILE (sqlite:////FILE from the root on) or postgresql://user:password@host/database"
    if re.fullmatch(r"sqlite:///[^?#]+", value):
        return value
    try:
        parts = urlsplit(value)
        valid = (
            parts.scheme in ("postgresql", "postgres") and bool(parts.hostname or parts.query) and parts.port != 0
        )
    except ValueError:
        valid = False
    if not valid or any(letter.isspace() for letter in value):
        raise ValueError(wanted)
    return value
