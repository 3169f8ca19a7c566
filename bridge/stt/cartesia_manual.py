"""Speech to text by Cartesia's manual socket, `/stt/websocket`: more languages, and the bridge finds the turns.

Voice activity detection listens to each piece of audio as it goes to the service, so that audio which is sent again
on a new connection is judged again. What it means is decided in `bridge.stt.manual_turns`.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from websockets.exceptions import ConnectionClosed

from bridge.audio import vad
from bridge.audio.codec import encode
from bridge.conversation.actions import Tuning
from bridge.conversation.events import TurnStarted
from bridge.errors import ProtocolError, SettingsError
from bridge.speech.connection import SpeechConnection
from bridge.speech.link import DEFAULT_VERSION, SpeechLink, drop
from bridge.speech.standby import Standby
from bridge.stt.cartesia_connection import CartesiaConnection, meaning
from bridge.stt.cartesia_wire import (
    MANUAL_PATH,
    Done,
    Error,
    FlushDone,
    ManualParameters,
    ServiceMessage,
    Transcript,
    parse_from_service,
)
from bridge.stt.dialect import Dialect, Listener
from bridge.stt.manual_turns import Finalize, ManualTurns, Output
from bridge.stt.outbox import Outbox
from bridge.stt.session import Limits, Sessions

DetectorKind: TypeAlias = Literal["auto", "energy", "silero"]
_MOST_KEPT: Final = 16
"""Detectors that wait for their next stream."""


@dataclass(frozen=True, slots=True)
class CartesiaManualSettings:
    """How to reach the service and what to ask of it. Raises `SettingsError` for a value the service forbids."""

    base_url: str
    """`https://api.cartesia.ai`, or any server that speaks the protocol."""
    api_key: str = field(default="", repr=False)
    version: str = DEFAULT_VERSION
    """`Cartesia-Version`."""
    model: str = "ink-2"
    """`ink-2`, which knows English, or `ink-whisper`, which knows many languages."""
    language: str | None = None
    """ISO 639-1; None: the service's own, `en`."""
    keyterms: tuple[str, ...] = ()
    """Words and names to listen for; not for `ink-whisper`."""
    encoding: str = "pcm_mulaw"
    """Of the audio that is sent; one of `bridge.audio.codec.BYTES_PER_SAMPLE`."""
    chunk_ms: int = 100
    """Audio in one message: the service asks for 50 to 200 ms."""
    pause_ms: int = 800
    """Silence that ends a turn."""
    eager_pause_ms: int = 300
    """Silence after which the text is asked for, and a turn may be over."""
    min_volume: float | None = None
    """0 to 1: what is quieter is silence for the service; not for `ink-2`."""
    max_silence_duration_secs: float | None = None
    """Silence in seconds after which the service finalises by itself; not for `ink-2`."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers of the handshake."""
    detector: DetectorKind = "auto"
    """What hears where speech is; `auto`: `silero` where it is installed, else `energy`. See `bridge.audio.vad`."""
    connect_timeout_s: float = 5.0
    """For the handshake."""
    drain_s: float = 5.0
    """How long `finish` waits for a connection that is down, and for the last words after `close`: only the record
    waits for them as well."""
    keep_s: float = 20.0
    """How much audio is kept to be sent, or sent again after a drop; of more, the oldest is lost."""
    access_token: str = field(default="", repr=False)
    """Short-lived token of the service, in place of the key."""

    def __post_init__(self) -> None:
        try:
            _check_model(self.parameters())
        except ProtocolError as error:
            raise SettingsError(f"[stt] of the settings: {error}") from error
        if self.detector == "silero" and not vad.silero_is_installed():
            raise SettingsError("the detector silero is not installed: pip install 'phone-bridge[local]'")
        self.link()

    def parameters(self) -> ManualParameters:
        """What stands in the query of the socket's address."""
        return ManualParameters(
            model=self.model,
            encoding=self.encoding,
            language=self.language,
            keyterms=self.keyterms,
            min_volume=self.min_volume,
            max_silence_duration_secs=self.max_silence_duration_secs,
        )

    def link(self) -> SpeechLink:
        """The way to the service."""
        return SpeechLink(
            self.base_url, self.api_key, self.version, self.headers, self.connect_timeout_s, self.access_token
        )


class CartesiaManual(Sessions):
    """Opens a session, with a socket of its own, for each speaker."""

    def __init__(self, settings: CartesiaManualSettings, standby: Standby | None = None) -> None:
        """`standby` as in `Sessions`."""
        dialect = ManualDialect(
            settings.parameters(), settings.pause_ms, settings.eager_pause_ms, _Detectors(settings.detector)
        )
        limits = Limits(settings.chunk_ms, settings.drain_s, settings.keep_s)
        super().__init__(settings.link(), dialect, limits, standby)


async def check_manual(settings: CartesiaManualSettings) -> None:
    """Connect, say `close` and wait for `done`. Raises `SpeechError`, whose sentence names the remedy."""
    link = settings.link()
    socket = await link.connect(MANUAL_PATH, settings.parameters().query())
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            await socket.send(ManualConnection.close_frame)
            while True:
                try:
                    message = parse_from_service(await socket.receive())
                except ProtocolError:
                    continue  # a call survives that too
                if isinstance(message, Error):
                    raise meaning(message, link)
                if isinstance(message, Done):
                    return
    except TimeoutError:
        raise link.timeout("no `done` message", settings.connect_timeout_s) from None
    except ConnectionClosed as closed:
        raise link.error_of_close(closed) from closed
    finally:
        await drop(socket)


class _Detectors:
    """Voice activity detectors at hand: loading a model takes too long for the event loop."""

    def __init__(self, kind: DetectorKind) -> None:
        with_model = kind == "silero" or (kind == "auto" and vad.silero_is_installed())
        self._make = vad.SileroDetector if with_model else vad.EnergyDetector
        self._free: list[vad.Detector] = []

    async def prepare(self) -> None:
        """See to it that `take`, if called next, has one. Raises `MissingExtraError`."""
        while not self._free:
            self._free.append(await asyncio.to_thread(self._make))

    def take(self) -> vad.Detector:
        """One that has heard nothing."""
        return self._free.pop()

    def give_back(self, detector: vad.Detector) -> None:
        """Its stream is over."""
        if len(self._free) < _MOST_KEPT:
            detector.reset()
            self._free.append(detector)


@dataclass(frozen=True, slots=True)
class ManualDialect(Dialect):
    """The manual socket: the bridge finds the turns."""

    parameters: ManualParameters
    pause_ms: int
    eager_pause_ms: int
    detectors: _Detectors

    @property
    def path(self) -> str:
        """See `Dialect.path`."""
        return MANUAL_PATH

    @property
    def language(self) -> str:
        """See `Dialect.language`."""
        return self.parameters.language or "en"

    def query(self) -> str:
        """See `Dialect.query`."""
        return self.parameters.query()

    async def greet(self, socket: SpeechConnection, link: SpeechLink) -> str:
        """Get a detector ready. Whether this socket says `connected` is not certain, so that is not waited for."""
        del socket, link
        await self.detectors.prepare()
        return ""

    def connect(
        self, socket: SpeechConnection, link: SpeechLink, outbox: Outbox, listener: Listener
    ) -> ManualConnection:
        """See `Dialect.connect`."""
        return ManualConnection(self, socket, link, outbox, listener)

    def tuned(self, tuning: Tuning) -> ManualDialect:
        """See `Dialect.tuned`. Thresholds are not for this socket.

        With a new model the settings that it does not know are dropped, unless they are given with it.
        """
        changes = {
            name: value
            for name in ("model", "language", "keyterms")
            if (value := getattr(tuning, name)) is not None
        }
        if tuning.model is not None:
            changes = _dropped(tuning.model) | changes
        parameters = dataclasses.replace(self.parameters, **changes)
        _check_model(parameters)
        return dataclasses.replace(self, parameters=parameters)


class ManualConnection(CartesiaConnection):
    """An open manual socket at work."""

    close_frame = "close"

    def __init__(
        self, dialect: ManualDialect, socket: SpeechConnection, link: SpeechLink, outbox: Outbox, listener: Listener
    ) -> None:
        super().__init__(socket, link, outbox, listener)
        self._dialect = dialect
        self._detector = dialect.detectors.take()
        self._windows = vad.Windows()
        self._turns = ManualTurns(pause_ms=dialect.pause_ms, eager_pause_ms=dialect.eager_pause_ms)

    def adopt(self, dialect: Dialect) -> bool:
        """Only what changes nothing is taken over; see `Connection.adopt`."""
        return dialect == self._dialect

    async def talk(self) -> None:
        """Send and read until the service closes; see `Connection.talk`."""
        try:
            await super().talk()
            self._tell(self._turns.finish())
        finally:
            self._dialect.detectors.give_back(self._detector)

    def _encoded(self, piece: bytes) -> bytes:
        return encode(piece, self._dialect.parameters.encoding)

    def _went(self, piece: bytes) -> None:
        windows = list(self._windows.cut(piece))
        for left, window in zip(reversed(range(len(windows))), windows, strict=True):
            self._tell(self._turns.hear(self._detector.score(window), more=left > 0))

    def _take(self, message: ServiceMessage) -> None:
        match message:
            case Transcript(text, is_final):
                self._tell(self._turns.transcript(text, is_final=is_final))
            case FlushDone():
                self._tell(self._turns.flushed())
            case Done():
                self._tell(self._turns.finish())
            case _:
                self._complain(f"unexpected {message.__struct_config__.tag} message")

    def _tell(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            if isinstance(output, Finalize):
                self._command("finalize")
                continue
            self._listener.heard(output)
            if isinstance(output, TurnStarted):
                self._watch_for_gap()


def _dropped(model: str) -> dict[str, object]:
    """Parameters that a model does not know, with the values that leave them out."""
    if model.startswith("ink-whisper"):
        return {"keyterms": ()}
    if model.startswith("ink-2"):
        return {"language": None, "min_volume": None, "max_silence_duration_secs": None}
    return {}


def _check_model(parameters: ManualParameters) -> None:
    """Raise `ProtocolError` if a parameter is set that the model does not know."""
    for name, unset in _dropped(parameters.model).items():
        value = getattr(parameters, name)
        if value not in {None, unset} and (name, value) != ("language", "en"):
            remedy = "its language is en" if name == "language" else "leave it out, or choose another model"
            raise ProtocolError(
                f"{name} is {value!r}, and {parameters.model} cannot do that: {remedy}", code="bad_parameter"
            )
