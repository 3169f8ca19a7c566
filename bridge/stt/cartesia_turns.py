"""Speech to text by Cartesia's turn-taking socket, `/stt/turns/websocket`, or any server that speaks it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from websockets.exceptions import ConnectionClosed

from bridge.audio import codec
from bridge.conversation.actions import Tuning
from bridge.conversation.events import TurnEagerlyEnded, TurnEnded, TurnResumed, TurnStarted, TurnUpdated
from bridge.errors import ProtocolError, SettingsError
from bridge.speech.connection import SpeechConnection
from bridge.speech.link import DEFAULT_VERSION, SpeechLink, drop
from bridge.speech.standby import Standby
from bridge.stt.cartesia_connection import CartesiaConnection, greeting
from bridge.stt.cartesia_wire import (
    TURNS_PATH,
    Close,
    Config,
    ServiceMessage,
    TurnEagerEnd,
    TurnEnd,
    TurnResume,
    TurnsParameters,
    TurnStart,
    TurnThresholds,
    TurnUpdate,
    encode,
)
from bridge.stt.dialect import Dialect, Listener
from bridge.stt.outbox import Outbox
from bridge.stt.session import Limits, Sessions

_CLOSE: Final = encode(Close())


@dataclass(frozen=True, slots=True)
class CartesiaTurnsSettings:
    """How to reach the service and what to ask of it. Raises `SettingsError` for a value the service forbids."""

    base_url: str
    """`https://api.cartesia.ai`, or any server that speaks the protocol."""
    api_key: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False, kw_only=True)
    """A short-lived token in place of the key."""
    version: str = DEFAULT_VERSION
    """`Cartesia-Version`."""
    model: str = "ink-2"
    encoding: str = field(default="pcm_mulaw", kw_only=True)
    """Encoding of the audio on the wire: `pcm_mulaw` is what the phone has, any other is converted to."""
    chunk_ms: int = 100
    """Audio in one message: the service asks for 50 to 200 ms."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers of the handshake."""
    keyterms: tuple[str, ...] = ()
    turn_start_threshold: float | None = None
    turn_eager_end_threshold: float | None = None
    turn_end_threshold: float | None = None
    turn_end_timeout_ms: float | None = None
    connect_timeout_s: float = 5.0
    """For the handshake, and again for the `connected` message after it."""
    drain_s: float = 5.0
    """How long `finish` waits for a connection that is down, and for the last words after `close`: only the record
    waits for them as well."""
    keep_s: float = 20.0
    """How much audio is kept to be sent, or sent again after a drop; of more, the oldest is lost."""

    def __post_init__(self) -> None:
        try:
            self.parameters()
        except ProtocolError as error:
            raise SettingsError(f"[stt] of the settings: {error}") from error
        self.link()

    def parameters(self) -> TurnsParameters:
        """What stands in the query of the socket's address."""
        thresholds = TurnThresholds(
            self.turn_start_threshold,
            self.turn_eager_end_threshold,
            self.turn_end_threshold,
            self.turn_end_timeout_ms,
        )
        return TurnsParameters(self.model, self.encoding, keyterms=self.keyterms, thresholds=thresholds)

    def link(self) -> SpeechLink:
        """The way to the service."""
        return SpeechLink(
            self.base_url, self.api_key, self.version, self.headers, self.connect_timeout_s, self.access_token
        )


class CartesiaTurns(Sessions):
    """Opens a session, with a socket of its own, for each speaker."""

    def __init__(self, settings: CartesiaTurnsSettings, standby: Standby | None = None) -> None:
        """`standby` as in `Sessions`."""
        limits = Limits(settings.chunk_ms, settings.drain_s, settings.keep_s)
        super().__init__(settings.link(), TurnsDialect(settings.parameters()), limits, standby)


async def check_stt(settings: CartesiaTurnsSettings) -> None:
    """Connect, wait for `connected` and leave. Raises `SpeechError`, whose sentence names the remedy."""
    link = settings.link()
    socket = await link.connect(TURNS_PATH, settings.parameters().query())
    try:
        await greeting(socket, link)
        await socket.send(_CLOSE)
    except ConnectionClosed as closed:
        raise link.error_of_close(closed) from closed
    finally:
        await drop(socket)


@dataclass(frozen=True, slots=True)
class TurnsDialect(Dialect):
    """The turns socket: the service finds the turns."""

    parameters: TurnsParameters

    @property
    def path(self) -> str:
        """See `Dialect.path`."""
        return TURNS_PATH

    @property
    def language(self) -> str:
        """See `Dialect.language`. It is not for this socket: all is taken for English."""
        return "en"

    def query(self) -> str:
        """See `Dialect.query`."""
        return self.parameters.query()

    async def greet(self, socket: SpeechConnection, link: SpeechLink) -> str:
        """Wait for `connected`; see `Dialect.greet`."""
        return await greeting(socket, link)

    def connect(
        self, socket: SpeechConnection, link: SpeechLink, outbox: Outbox, listener: Listener
    ) -> TurnsConnection:
        """See `Dialect.connect`."""
        return TurnsConnection(self.parameters, socket, link, outbox, listener)

    def tuned(self, tuning: Tuning) -> TurnsDialect:
        """See `Dialect.tuned`. A language is not for this socket: all is taken for English."""
        change = TurnThresholds(
            tuning.start_threshold, tuning.eager_end_threshold, tuning.end_threshold, tuning.end_timeout_ms
        )
        old = self.parameters
        parameters = dataclasses.replace(
            old,
            model=old.model if tuning.model is None else tuning.model,
            keyterms=old.keyterms if tuning.keyterms is None else tuning.keyterms,
            thresholds=old.thresholds.updated(change),
        )
        return TurnsDialect(parameters)


class TurnsConnection(CartesiaConnection):
    """An open turns socket at work."""

    close_frame = _CLOSE

    def __init__(
        self,
        parameters: TurnsParameters,
        socket: SpeechConnection,
        link: SpeechLink,
        outbox: Outbox,
        listener: Listener,
    ) -> None:
        super().__init__(socket, link, outbox, listener)
        self._parameters = parameters

    def adopt(self, dialect: Dialect) -> bool:
        """Send a `config` command if only thresholds differ; see `Connection.adopt`."""
        if not isinstance(dialect, TurnsDialect):
            return False
        thresholds = dialect.parameters.thresholds
        if dataclasses.replace(self._parameters, thresholds=thresholds) != dialect.parameters:
            return False
        if thresholds != self._parameters.thresholds:
            self._command(encode(Config(thresholds)))
        self._parameters = dialect.parameters
        return True

    def _encoded(self, piece: bytes) -> bytes:
        encoding = self._parameters.encoding
        return piece if encoding == "pcm_mulaw" else codec.encode(piece, encoding)

    def _take(self, message: ServiceMessage) -> None:
        match message:
            case TurnStart():
                self._listener.heard(TurnStarted())
                self._watch_for_gap()
            case TurnUpdate(transcript):
                self._listener.heard(TurnUpdated(transcript))
            case TurnEagerEnd(transcript):
                self._listener.heard(TurnEagerlyEnded(transcript))
            case TurnResume():
                self._listener.heard(TurnResumed())
            case TurnEnd(transcript):
                self._listener.heard(TurnEnded(transcript))
            case _:
                self._complain(f"unexpected {message.__struct_config__.tag} message")
