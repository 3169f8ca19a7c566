"""The WebSocket to an app of ConversationRelay: opened once per call, taken up again when it breaks.

It knows frames, close codes and time-outs; what the messages mean for a call is `conversation_relay`'s. What the
`websockets` library or the network raises becomes an `AgentError` here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bridge.agents.relay import wire
from bridge.agents.targets import GuardedResolver, TargetRefusedError, check_url, refusal
from bridge.client_socket import ClientSocket
from bridge.errors import AgentError, ProtocolError, SettingsError
from bridge.tasks import spawn

MAX_FRAME_BYTES = 256 * 1024
"""A longer message ends the connection (1009)."""
MAX_WAITING = 500
"""Events that wait for a connection that is lost; the oldest beyond them are left out."""
MAX_PER_SECOND = 500
"""Messages of an app that are read within a second: a flood is slowed down by not reading it."""
COST = 20
"""As so many of them counts what is no text: sounds, keys and changes are work, and nobody means many."""
PAUSES_S = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Between attempts to connect again; the last one repeats."""
STEADY_S = 5.0
"""A connection that held for this long, or on which the app said something, was a good one."""
CLOSE_WITHIN_S = 1.0
"""For the closing handshake, and for what is still to be sent before it."""

_TOO_LONG = 1009
_DELIBERATE = frozenset({1000, 1005})
"""The app is done: it closed the socket as one does, with a code or without."""
_REFUSALS = frozenset({1002, 1003, 1007, 1008, 1010})
"""The app does not want us: it would close the next connection as well."""

State: TypeAlias = Literal["connecting", "up", "lost", "failed", "done"]
"""`lost`: being restored. `failed`: for good. `done`: the app, or the call, has closed it."""


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Times of a connection, in seconds."""

    connect_s: float = 3.0
    """Name look-up, TCP, TLS and handshake together."""
    reconnect_s: float = 10.0
    """How long a lost connection may take to be restored; 0: it is not."""


class RelayAddress:
    """Where the app is, and how its handshake is signed. Raises SettingsError for a URL that cannot work."""

    def __init__(self, url: str, *, sign: Callable[[str], str] | None = None, allow_private: bool = True) -> None:
        """`sign` makes the value of `X-Twilio-Signature` for the URL that is dialled; None: there is none."""
        self.url = _dialled(url)
        parts = urlsplit(self.url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        self.shown = urlunsplit(bare._replace(query=""))
        """As a log may show it: without user, password and query."""
        # User and password travel in a header of their own: the app sees, and checks, the URL without them.
        signed = urlunsplit(bare)
        self._headers = {} if sign is None else {"X-Twilio-Signature": sign(signed)}
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "wss" else 80)
        self._allow_private = allow_private
        self._tls = _tls() if parts.scheme == "wss" else None

    async def open(self, connect_s: float) -> ClientConnection:
        """Open a connection. Raises AgentError; cancelling gives the attempt up."""
        try:
            async with asyncio.timeout(connect_s):
                return await _Connect(
                    self.url,
                    create_connection=ClientSocket,
                    additional_headers=self._headers,
                    compression=None,  # The messages are short, and each direction would hold memory for it.
                    proxy=None,  # The app is where the settings say, and its address can be judged.
                    open_timeout=None,
                    close_timeout=CLOSE_WITHIN_S,
                    # An app that vanished without a word is noticed within half a minute.
                    ping_interval=10,
                    ping_timeout=15,
                    max_size=MAX_FRAME_BYTES,
                    ssl=self._tls,
                    **await self._judged(),
                )
        except TimeoutError as error:
            what = f"could not be connected to within {connect_s:g} s"
            raise self.failed("agent_unreachable", what) from error
        except InvalidStatus as error:
            raise self._refused(error.response.status_code) from error
        except (WebSocketException, OSError, EOFError, TargetRefusedError) as error:
            refused = error if isinstance(error, TargetRefusedError) else refusal(error)
            if refused is not None:
                raise self.failed("agent_target", f"is not connected to: {refused.message}") from error
            reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
            raise self.failed("agent_unreachable", f"cannot be reached: {reason}") from error

    def failed(self, code: str, what: str) -> AgentError:
        """Make the error that says what the app did."""
        return AgentError(f"the agent at {self.shown} {what}", code=code)

    def _refused(self, status: int) -> AgentError:
        advice = ""
        if status in {401, 403}:
            advice = "; it may check the signature with another token than relay.auth_token"
        elif 300 <= status < 400:
            advice = "; redirects are not followed, set agent.url to the final address"
        return self.failed("agent_status", f"refused the connection with status {status}{advice}")

    async def _judged(self) -> dict[str, Any]:
        """Return the address to connect to, where it has to be a public one."""
        if self._allow_private:
            return {}
        check_url(self.url)
        found = await GuardedResolver(aiohttp.ThreadedResolver()).resolve(self._host, self._port)
        if not found:
            raise OSError("the name has no address")
        return {"host": found[0]["host"], "port": found[0]["port"]}


class RelaySocket:
    """One session with an app, over as many connections as it takes.

    `setup` is the first message of each connection. `on_message` is handed each message that can be read,
    `on_malformed` is called for each that cannot, and `on_change` with every change of `state`; none of them may
    wait or raise. `close` ends it.
    """

    def __init__(
        self,
        address: RelayAddress,
        setup: wire.Setup,
        limits: SocketLimits,
        *,
        on_message: Callable[[wire.FromApp], None],
        on_malformed: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        self.state: State = "connecting"
        self.error: AgentError | None = None
        """Why it failed."""
        self.left_out = 0
        """Events that were too many to be kept for a lost connection."""
        self._address = address
        self._setup = wire.encode(setup)
        self._limits = limits
        self._on_message = on_message
        self._on_malformed = on_malformed
        self._on_change = on_change
        self._log = structlog.get_logger().bind(sid=setup.call_sid, session=setup.session_id)
        self._outbox: deque[wire.ToApp] = deque()
        self._filled = asyncio.Event()
        self._unanswered: wire.Prompt | None = None
        """The last prompt, while the app has not said anything since."""
        self._malformed = 0
        self._loop = asyncio.get_running_loop()
        self._heard_at = 0.0
        """When the app last said something that makes sense."""
        self._work = spawn(self._run(), name=f"relay-{setup.session_id}")

    def send(self, message: wire.ToApp) -> None:
        """Send a message behind those before it, as soon as there is a connection. Never waits, never raises."""
        if self.state in {"failed", "done"}:
            return
        if len(self._outbox) >= MAX_WAITING:
            self._outbox.popleft()
            self.left_out += 1
            if self.left_out == 1:
                self._log.warning("relay_events_left_out", waiting=MAX_WAITING)
        self._outbox.append(message)
        self._filled.set()

    async def close(self) -> None:
        """End the session with a closing handshake, or after a second without one."""
        self._change("done")
        self._work.cancel()
        await asyncio.wait([self._work])

    def _change(self, state: State) -> None:
        if self.state not in {"failed", "done"}:
            self.state = state
            self._on_change()

    # --- one connection after the other --------------------------------------------------------------------

    async def _run(self) -> None:
        """Hold a connection until the session is over. Cancelling closes it."""
        lost_at, attempt = self._loop.time(), 0
        connected = False
        while True:
            try:
                connection = await self._address.open(self._limits.connect_s)
            except AgentError as error:
                loss = _LostError(error, final=not connected or error.code in {"agent_status", "agent_target"})
            else:
                connected, opened_at = True, self._loop.time()
                try:
                    await self._carry(connection)
                except _LostError as error:
                    loss = error
                else:
                    self._change("done")
                    return
                if attempt == 0 or self._heard_at >= opened_at or self._loop.time() >= opened_at + STEADY_S:
                    lost_at, attempt = self._loop.time(), 0
            if loss.final or self._loop.time() >= lost_at + self._limits.reconnect_s:
                self.error = loss.error
                self._log.warning("relay_failed", code=loss.error.code, error=loss.error.message)
                self._change("failed")
                return
            if attempt == 0:
                self._log.warning("relay_lost", code=loss.error.code, error=loss.error.message)
                self._change("lost")
            await asyncio.sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])
            attempt += 1

    async def _carry(self, connection: ClientConnection) -> None:
        """Serve one connection to its end. Returns when the app closed it deliberately; else raises _LostError."""
        writer: asyncio.Task[None] | None = None
        try:
            await connection.send(self._setup)
            if self._unanswered is not None:
                # It went into a connection that broke, so that nothing can have come back.
                self._outbox.appendleft(self._unanswered)
            self._malformed = 0
            self._change("up")
            writer = spawn(self._write(connection), name="relay-writer")
            await self._read(connection)
        except ConnectionClosed as closed:
            self._judge(closed)
        finally:
            if writer is not None:
                writer.cancel()
            await connection.close()

    async def _write(self, connection: ClientConnection) -> None:
        """Send what waits, and what comes, until the connection is closed."""
        while True:
            self._filled.clear()
            try:
                while self._outbox:
                    await self._send_next(connection)
            except ConnectionClosed:
                return  # The reader learns of it, too.
            await self._filled.wait()

    async def _send_next(self, connection: ClientConnection) -> None:
        message = self._outbox.popleft()
        if isinstance(message, wire.Prompt) and message.last:
            self._unanswered = message
        try:
            await connection.send(wire.encode(message))
        except ConnectionClosed:
            if message is not self._unanswered:
                self._outbox.appendleft(message)
            raise

    async def _read(self, connection: ClientConnection) -> None:
        """Take the app's messages until the connection is closed, which raises ConnectionClosed."""
        second, count = self._loop.time(), 0
        while True:
            frame = await connection.recv()
            cost = COST
            try:
                message = wire.parse_from_app(frame)
            except ProtocolError as error:
                await self._complain(connection, frame, error)
            else:
                cost = 1 if isinstance(message, wire.Text) else COST
                self._malformed, self._unanswered, self._heard_at = 0, None, self._loop.time()
                self._on_message(message)
            now = self._loop.time()
            if now >= second + 1:
                second, count = now, 0
            count += cost
            if count >= MAX_PER_SECOND:
                await asyncio.sleep(second + 1 - now)

    async def _complain(self, connection: ClientConnection, frame: str | bytes, error: ProtocolError) -> None:
        """Answer a malformed message, and end the session at the tenth in a row (Twilio's error 64105)."""
        self._malformed += 1
        self._on_malformed()
        if self._malformed == 1:
            self._log.warning("relay_message_malformed", error=error.message)
        if self._malformed < wire.MAX_MALFORMED:
            if len(self._outbox) < MAX_WAITING // 2:  # The caller's words must not be crowded out.
                self.send(wire.complaint(frame))
            return
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                while self._outbox:
                    await self._send_next(connection)
        await connection.close(wire.MALFORMED_CLOSE_CODE, wire.MALFORMED_CLOSE_REASON)
        what = f"sent {wire.MAX_MALFORMED} messages in a row that cannot be read"
        raise _LostError(self._address.failed("agent_answer", what), final=True)

    def _judge(self, closed: ConnectionClosed) -> None:
        """Return if the app closed the connection because it is done. Raises _LostError for every other end."""
        if (frame := closed.rcvd) is None:
            too_long = closed.sent is not None and closed.sent.code == _TOO_LONG
            what = f"sent over {MAX_FRAME_BYTES >> 10} KB at once" if too_long else "is gone: its connection broke"
            raise _LostError(self._address.failed("agent_unreachable", what), final=False)
        if frame.code in _DELIBERATE:
            return
        said = f"{frame.code} {' '.join(frame.reason.split())[:100]}".strip()
        error = self._address.failed("agent_unreachable", f"closed the connection ({said})")
        raise _LostError(error, final=frame.code in _REFUSALS)


class _Connect(connect):
    """`websockets.connect` that does not follow redirects: the signature is one for this address."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _LostError(Exception):
    """The connection is gone."""

    def __init__(self, error: AgentError, *, final: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.final = final
        """True: another one would not go better."""


def _dialled(url: str) -> str:
    """Return the URL as it is dialled: with a WebSocket's scheme, a path, and no fragment."""
    try:
        parts = urlsplit(url)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        valid = scheme in {"ws", "wss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(
            f"agent.url (BRIDGE_AGENT__URL) is {url!r}: wanted a ws(s) URL such as wss://agent.example.com/relay"
        )
    # The request line always has a path, and the app checks the signature of what it was asked for.
    return urlunsplit((scheme, parts.netloc, parts.path or "/", parts.query, ""))


@functools.cache
def _tls() -> ssl.SSLContext:
    # Reading the trusted certificates takes tens of milliseconds, which a call's first moment should not spend.
    return ssl.create_default_context()
