"""Every parser that reads what others wrote: what it is given, and the errors that it may raise."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.agents.action_json import parse_item
from bridge.agents.flow.file import read_flow
from bridge.agents.openai.wire import ChatReader
from bridge.agents.openai.wire import complaint as chat_complaint
from bridge.agents.relay import wire as relay
from bridge.agents.webhook.answers import AnswerReader
from bridge.api.call_queries import CallList, Search
from bridge.errors import AgentError, BridgeError, ProtocolError, SettingsError
from bridge.metrics import Metrics
from bridge.settings.source import load_settings
from bridge.simulator import scenario
from bridge.simulator.twiml_reader import read_twiml
from bridge.store.journal_file import read_header, read_line
from bridge.store.sql import cursors
from bridge.stt import cartesia_wire as stt
from bridge.tts import cartesia_wire as tts
from bridge.twilio import media_stream, signature
from bridge.twilio.gate import number
from bridge.twilio.reading import _Stream
from bridge.twilio.tokens import StreamTokens
from bridge.workers.link import Hub
from tests.fuzz import seeds
from tests.fuzz.making import messages, pieces, texts


@dataclass(frozen=True)
class Target:
    """One parser, or a few that read the same."""

    name: str
    given: st.SearchStrategy[Any]
    run: Callable[[Any], object]
    """Reads what is given. Raises what the parser raises, and AssertionError where two do not agree."""
    raises: tuple[type[Exception], ...] = ()
    """The errors that the parser declares."""


Cuts = st.lists(st.integers(0, 4000), max_size=4)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# --- Twilio ------------------------------------------------------------------------------------------------------


def _carrier(data: bytes) -> None:
    media_stream.parse_from_carrier(data)


def _both_ways(frames: list[bytes]) -> None:
    """Read the same messages as texts, one by one, and as bytes that come together: both must tell the same."""
    frames = [frame for frame in frames if _is_text(frame)]  # Others are no texts: WebSockets do not pass them on.
    told = [_read(frames, together=together) for together in (1, 3, len(frames) or 1)]
    assert told[0] == told[1] == told[2], f"one by one {told[0]!r}, together {told[1]!r} and {told[2]!r}"


def _is_text(frame: bytes) -> bool:
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read(frames: list[bytes], *, together: int) -> list[Any]:
    metrics = Metrics()
    taken: list[Any] = []
    stream = _Stream("CA1", metrics, taken.append)
    over = False
    for begin in range(0, len(frames), together):
        for frame in frames[begin : begin + together]:
            if over:
                break
            data: bytes | str = frame if together > 1 else _text(frame)
            over = not stream.text(data)
        stream.hand_on()
    malformed = metrics.registry.get_sample_value("phone_bridge_malformed_messages_total", {"peer": "carrier"})
    return [over, malformed, *_joined(taken)]


def _joined(taken: list[Any]) -> list[Any]:
    """Put sound together that follows on the same track, however it was handed on."""
    found: list[Any] = []
    for event in taken:
        last = found[-1] if found else None
        if isinstance(event, media_stream.Media):
            goes_on = isinstance(last, list) and last[0] == event.track and event.timestamp_ms == last[2]
            after = None if event.timestamp_ms is None else event.timestamp_ms + len(event.audio) / 8
            if goes_on and isinstance(last, list) and after is not None:
                last[1] += event.audio
                last[2] = after
            else:
                found.append([event.track, event.audio, after])
        else:
            found.append(event)
    return found


def _from_bridge(data: bytes) -> None:
    media_stream.parse_from_bridge(_text(data), "MZ1")
    media_stream.parse_from_bridge(data, "MZ1")


# --- speech, agents ----------------------------------------------------------------------------------------------


def _each(*parsers: Callable[[Any], Any]) -> Callable[[bytes | str], None]:
    """Let each parser read it, and raise the last error that one of them raised."""

    def run(data: bytes | str) -> None:
        raised: Exception | None = None
        for parse in parsers:
            try:
                parse(data)
            except ProtocolError as error:
                raised = error
        if raised is not None:
            raise raised

    return run


def _relay(data: bytes) -> None:
    text = _text(data)
    relay.complaint(text)
    _each(relay.parse_from_app, relay.parse_to_app)(text)


def _actions(data: bytes) -> None:
    assert isinstance(parse_item(data), list)


_TYPES: Final = (
    "application/json",
    "text/plain",
    "text/plain; charset=utf-16",
    "application/x-ndjson",
    "text/event-stream",
    "text/html",
    "",
)


def _answer(given: tuple[str, bytes, list[int]]) -> None:
    kind, data, cuts = given
    reader = AnswerReader(kind, max_bytes=100_000)
    for piece in pieces(data, cuts):
        reader.feed(piece)
    reader.finish()


def _chat(given: tuple[bool, bytes, list[int]]) -> None:
    whole, data, cuts = given
    reader = ChatReader()
    if whole:
        reader.take_whole()
    for piece in pieces(data, cuts):
        reader.feed(piece)
    reader.finish()
    assert all(isinstance(call.arguments, str) for call in reader.calls)
    chat_complaint(data)


def _events(parts: list[bytes]) -> bytes:
    return b"".join(b"data: " + part.replace(b"\n", b" ") + b"\n\n" for part in parts)


# --- files -------------------------------------------------------------------------------------------------------

_FOLDER: Final = tempfile.TemporaryDirectory(prefix="fuzz-")


def _settings(data: bytes) -> None:
    file = Path(_FOLDER.name) / "bridge.toml"
    file.write_bytes(data)
    load_settings(file, environment={})


def _environment(given: dict[str, str]) -> None:
    load_settings(environment=given, files=())


def _flow(data: bytes) -> None:
    checked = read_flow(_text(data), "flow")
    assert checked.flow is not None or checked.problems


def _twiml(text: str) -> None:
    assert isinstance(read_twiml(text), list)


def _scenario(data: bytes) -> None:
    raised: SettingsError | None = None
    for kind in ("toml", "yaml", "json"):
        try:
            scenario.parse(data, name="x", kind=kind)
        except SettingsError as error:
            raised = error
            assert "\n" not in error.message, f"more than a line: {error.message!r}"
    if raised is not None:
        raise raised


def _journal(data: bytes) -> None:
    try:
        read_header(data)
    except (ValueError, KeyError, TypeError):
        read_line(data)


# --- tokens, forms, queries --------------------------------------------------------------------------------------

_TOKENS: Final = StreamTokens("secret")
_GOOD_TOKEN: Final = _TOKENS.issue("CA1", {"from": "+1", "to": "+2"})


def _token(text: str) -> None:
    _TOKENS.redeem(text, "CA1")


def _form(text: str) -> None:
    signature.verify("token", "https://a.example/b?c=d", [("CallSid", text), (text, "x")], text)
    signature.verify_upgrade("token", text, text)
    number(text)


def _cursor(text: str) -> None:
    cursors.position(text, tuple[int, str])


def _query(given: dict[str, str]) -> None:
    CallList.model_validate(given).filter()
    Search.model_validate({"q": "x", **given}).filter()


_names: Final = sorted({*CallList.model_fields, *Search.model_fields})
_odd: Final = st.text(max_size=30) | st.sampled_from(
    ["2026-01-01", "9999-12-31T23:59:59+23:59", "0001-01-01T00:00:00-23:59", "1e400", "-1", "true", "9" * 400]
)
_environment_names: Final = (
    "BRIDGE_SERVER__PORT",
    "BRIDGE_SERVER__PUBLIC_URL",
    "BRIDGE_AGENT__URL",
    "BRIDGE_AGENT__KIND",
    "BRIDGE_TURNS__BARGE_IN",
    "BRIDGE_TURNS__BACKCHANNELS",
    "BRIDGE_STORE__URL",
    "BRIDGE_STORE__ENCRYPTION_KEY",
    "BRIDGE_PRIVACY__PATTERNS",
    "BRIDGE_NUMBERS",
    "BRIDGE_STT__KEYTERMS",
    "BRIDGE_SPEECH__BASE_URL",
    "BRIDGE_BUS__URL",
)
_tokens: Final = st.one_of(
    st.text(max_size=60),
    st.integers(0, len(_GOOD_TOKEN) - 1).map(lambda at: _GOOD_TOKEN[:at] + "A" + _GOOD_TOKEN[at + 1 :]),
    st.text(alphabet="AZaz09-_.", max_size=80),
)
_cursors: Final = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="AZaz09-_=", max_size=60),
    st.tuples(st.integers(), st.text(max_size=8)).map(cursors.cursor),
    st.lists(st.text(max_size=4), max_size=3).map(lambda some: cursors.cursor(tuple(some))),
)


class _Links:
    """The first worker's end of the links: a real socket and a loop of its own, opened when it is first used."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._path = Path(_FOLDER.name) / "links"
        self._hub = Hub(self._path, _Nobody())

    def __call__(self, lines: list[bytes]) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._loop.run_until_complete(self._hub.open())
        self._loop.run_until_complete(self._tell(lines))

    async def _tell(self, lines: list[bytes]) -> None:
        _, writer = await asyncio.open_unix_connection(str(self._path))
        with contextlib.suppress(OSError):  # It hangs up on what it does not understand.
            writer.write(b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines))
            writer.write_eof()
        while not self._hub._reading:  # noqa: ASYNC110
            await asyncio.sleep(0)
        hearing = [*self._hub._reading]
        _, late = await asyncio.wait(hearing, timeout=5)
        writer.close()
        assert not late, "it hears no end"
        for task in hearing:
            task.result()


class _Nobody:
    """Is told everything."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


TARGETS: Final = (
    Target("links", st.lists(messages(seeds.LINKS), max_size=4), _Links()),
    Target("twilio", messages(seeds.TWILIO), _carrier, (ProtocolError,)),
    Target("twilio both ways", st.lists(messages(seeds.TWILIO), max_size=8), _both_ways),
    Target("twilio from bridge", messages(seeds.FROM_BRIDGE), _from_bridge),
    Target(
        "speech to text",
        messages(seeds.LISTENING),
        _each(stt.parse_from_service, stt.parse_turns_command, lambda data: stt.parse_manual_command(_text(data))),
        (ProtocolError,),
    ),
    Target(
        "text to speech",
        messages(seeds.SPEAKING),
        _each(tts.parse_from_service, tts.parse_from_client),
        (ProtocolError,),
    ),
    Target("relay", messages(seeds.RELAY), _relay, (ProtocolError,)),
    Target("actions", messages(seeds.ACTIONS), _actions),
    Target(
        "webhook answers",
        st.tuples(
            st.sampled_from(_TYPES),
            st.one_of(
                messages(seeds.ACTIONS),
                st.lists(messages(seeds.ACTIONS), max_size=4).map(b"\n".join),
                st.lists(messages(seeds.ACTIONS), max_size=4).map(_events),
                st.binary(max_size=80),
            ),
            Cuts,
        ),
        _answer,
        (AgentError,),
    ),
    Target(
        "openai",
        st.tuples(
            st.booleans(),
            messages(seeds.CHAT) | st.lists(messages(seeds.CHAT), max_size=4).map(_events) | st.binary(max_size=80),
            Cuts,
        ),
        _chat,
    ),
    Target("flow files", texts(seeds.FLOWS), _flow),
    Target("scenario files", texts(seeds.SCENARIOS), _scenario, (SettingsError,)),
    Target("settings files", texts(seeds.SETTINGS), _settings, (SettingsError,)),
    Target(
        "settings by environment",
        st.dictionaries(
            st.sampled_from(_environment_names), _odd | messages([{"a": 1}, [1]]).map(_text), max_size=4
        ),
        _environment,
        (SettingsError,),
    ),
    Target(
        "twiml",
        texts(seeds.TWIML).map(_text),
        _twiml,
        (ProtocolError,),
    ),
    Target("forms", texts(seeds.FORMS).map(_text), _form),
    Target("tokens", _tokens, _token, (BridgeError,)),
    Target("journal lines", messages(seeds.JOURNAL), _journal, (ValueError, TypeError)),
    Target("cursors", _cursors, _cursor, (BridgeError,)),
    Target("queries", st.dictionaries(st.sampled_from(_names), _odd, max_size=4), _query, (ValidationError,)),
)
"""All but a whole bridge: see `server`."""
