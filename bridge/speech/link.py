"""The way to the speech service, for both directions: address, key, handshake, and what its refusals mean.

Everything that the `websockets` library or the network raises becomes a `SpeechError` here, with a stable code and
a sentence that names the remedy.
"""

from __future__ import annotations

import functools
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    WebSocketException,
)

from bridge.errors import SettingsError, SpeechError
from bridge.speech.connection import SpeechConnection

DEFAULT_VERSION: Final = "2026-03-01"
MAX_MESSAGE_BYTES: Final = 4 * 2**20
"""A longer message ends the connection. Speech of a minute and a half is 1 MB in base64."""

_TOO_LONG: Final = 1009
_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_STATUS_OF_ERROR: Final = {"model_not_found": 400, "concurrency_limited": 429}
_FINAL_CODES: Final = frozenset({"speech_auth", "speech_plan", "speech_request"})


@dataclass(frozen=True, slots=True)
class SpeechLink:
    """Where the speech service is and how to get in. Raises `SettingsError` for an address that is none."""

    base_url: str
    """`https://api.cartesia.ai`, or any server that speaks the protocol; `http://` for one without TLS."""
    api_key: str = field(default="", repr=False)
    """Sent as `X-API-Key`; empty: none is sent."""
    version: str = DEFAULT_VERSION
    """Sent as `Cartesia-Version`."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers of the handshake."""
    connect_timeout_s: float = 5.0
    """How long TCP, TLS and the handshake may take together."""
    access_token: str = field(default="", repr=False)
    """A short-lived token, sent as the query parameter `access_token` in place of the key."""
    alive_s: tuple[float, float] = (10.0, 15.0)
    """How often an open connection is asked for a sign of life, and how long it has to give one."""

    def __post_init__(self) -> None:
        if not _is_address(self.base_url):
            raise SettingsError(
                f"speech.base_url is {self.base_url!r}: wanted is an address such as https://api.cartesia.ai"
            )

    @property
    def origin(self) -> str:
        """The address without path or credentials, for messages."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def url(self, path: str, query: str = "") -> str:
        """The WebSocket address of an endpoint. A path in `base_url` stays in front (a proxy's prefix)."""
        parts = urlsplit(self.base_url)
        address = f"{_SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}{path}"
        return f"{address}?{query}" if query else address

    async def connect(self, path: str, query: str = "") -> SpeechConnection:
        """Open a WebSocket to an endpoint. Raises `SpeechError`; cancelling gives the attempt up.

        The caller owns the connection and ends it with `drop` or `close`.
        """
        if self.access_token:
            query = "&".join([*([query] if query else []), f"access_token={quote(self.access_token, safe='')}"])
        url = self.url(path, query)
        headers = {**self.headers, "Cartesia-Version": self.version}
        if self.api_key and not self.access_token:
            headers["X-API-Key"] = self.api_key
        try:
            connection = await _Connect(
                url,
                create_connection=SpeechConnection,
                additional_headers=headers,
                # Mu-law and base64 of it do not compress, and each direction would hold up to 256 KB for the try.
                compression=None,
                proxy=None if _is_loopback(urlsplit(url).hostname or "") else True,
                open_timeout=self.connect_timeout_s,
                # A peer that vanished without a word is noticed within half a minute.
                ping_interval=self.alive_s[0],
                ping_timeout=self.alive_s[1],
                close_timeout=1,
                max_size=MAX_MESSAGE_BYTES,
                ssl=_tls() if url.startswith("wss:") else None,
            )
        except (WebSocketException, OSError, EOFError, TimeoutError) as error:
            raise self._refusal(error) from error
        assert isinstance(connection, SpeechConnection)  # noqa: S101  It was asked for above.
        # Nobody asks for them any more, and a call would keep some KB of them, the key among it.
        for said in (connection.request, connection.response):
            if said is not None:
                said.headers.clear()
        return connection

    def error_of_status(
        self, status: int, detail: str = "", details: Mapping[str, str] | None = None
    ) -> SpeechError:
        """What an HTTP status means, and what the service said to it."""
        code = _code_of_status(status)
        said = f"{status}: {self._clean(detail)}" if detail else str(status)
        match code:
            case "speech_auth" if self.access_token:
                message = (
                    f"speech.access_token was refused by {self.origin} ({said}): tokens last an hour at most, "
                    "get a new one (BRIDGE_SPEECH__ACCESS_TOKEN)"
                )
            case "speech_auth" if not self.api_key:
                message = f"{self.origin} wants a key ({said}): set speech.api_key (BRIDGE_SPEECH__API_KEY)"
            case "speech_auth":
                message = f"speech.api_key was refused by {self.origin} ({said}): check BRIDGE_SPEECH__API_KEY"
            case "speech_plan":
                message = (
                    f"{self.origin} says that the plan or credit does not cover this ({said}): see the account"
                )
            case "speech_limit":
                message = (
                    f"{self.origin} allows no more at once ({said}): take fewer calls or raise the plan's limit"
                )
            case "speech_server" | "speech_timeout":
                message = f"{self.origin} has a failure of its own ({said}): try again later"
            case _:
                message = (
                    f"{self.origin} refused the request ({said}): check [speech], [stt] and [tts] of the settings"
                )
        cleaned = {name: self._clean(value) for name, value in (details or {}).items()}
        return SpeechError(message, code=code, final=code in _FINAL_CODES, details=cleaned)

    def error_of_message(
        self, status: int | None, error_code: str | None, text: str, details: Mapping[str, str] | None = None
    ) -> SpeechError:
        """What an `error` message on a socket means. Without a status it is the service's own failure.

        `details`: its further fields, which go along with the error.
        """
        return self.error_of_status(status or _STATUS_OF_ERROR.get(error_code or "", 500), text, details)

    def error_of_close(self, closed: ConnectionClosed) -> SpeechError:
        """What it means that the service, or the network, closed a socket that was open."""
        frame = closed.rcvd
        if frame is None and closed.sent is not None and closed.sent.code == _TOO_LONG:
            message = f"{self.origin} sent a message of over {MAX_MESSAGE_BYTES >> 20} MB: see its own log"
            return SpeechError(message, code="speech_server", final=False)
        if frame is None:
            message = f"the connection to {self.origin} was lost: check the network"
            return SpeechError(message, code="speech_unreachable", final=False)
        # 1013, "try again later", comes from a server in trouble: a plan's limit is told by status 429, and nothing
        # is to be learnt about it from a stream that had been let in.
        code = {1008: "speech_request", 1011: "speech_server", 1012: "speech_server", 1013: "speech_server"}
        said = f"{frame.code} {self._clean(frame.reason)}".strip()
        message = f"{self.origin} closed the connection ({said}): its status page or log may say why"
        return SpeechError(message, code=code.get(frame.code, "speech_unreachable"), final=False)

    def timeout(self, what: str, seconds: float) -> SpeechError:
        """`what` (such as "no first audio") took longer than `seconds`."""
        message = f"{what} from {self.origin} within {seconds:g} s: check the network and the service's status"
        return SpeechError(message, code="speech_timeout", final=False)

    def _refusal(self, error: Exception) -> SpeechError:
        if isinstance(error, InvalidStatus):
            response = error.response
            if 300 <= response.status_code < 400:
                return self._elsewhere(response.headers.get("Location", "elsewhere"))
            detail, details = _problem(response.body)
            return self.error_of_status(
                response.status_code, detail, {"status_code": str(response.status_code), **details}
            )
        if isinstance(error, TimeoutError):
            return self.timeout("no connection", self.connect_timeout_s)
        if isinstance(error, ssl.SSLCertVerificationError):
            message = (
                f"the certificate of {self.origin} is not trusted ({error.verify_message}): check speech.base_url"
            )
            return SpeechError(message, code="speech_unreachable", final=True)
        if isinstance(error, InvalidHandshake) and not isinstance(error, InvalidMessage):
            message = f"{self.origin} does not answer as a speech service ({self._clean(str(error))})"
            return SpeechError(f"{message}: check speech.base_url", code="speech_request", final=True)
        reason = self._clean(str(error)) or type(error).__name__
        message = (
            f"cannot reach the speech service at {self.origin} ({reason}): check speech.base_url and the network"
        )
        return SpeechError(message, code="speech_unreachable", final=False)

    def _elsewhere(self, location: str) -> SpeechError:
        message = f"{self.origin} points to {self._clean(location)}: set speech.base_url to the right address"
        return SpeechError(message, code="speech_request", final=True)

    def _clean(self, text: str) -> str:
        """A peer's text, fit for one line of a log: short, and without the key or token should it echo it."""
        line = " ".join(text.split())
        for secret in filter(None, (self.api_key, self.access_token, quote(self.access_token, safe=""))):
            line = line.replace(secret, "********")
        return line[:200]


async def drop(connection: SpeechConnection) -> None:
    """End a connection at once, without a closing handshake. Never raises and never waits for the peer."""
    connection.transport.abort()
    await connection.wait_closed()


def is_final(code: str) -> bool:
    """Whether an error with this code cannot be helped by trying again."""
    return code in _FINAL_CODES


class _Connect(connect):
    """`websockets.connect` that does not follow redirects: the key must not be carried to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Problem(msgspec.Struct, omit_defaults=True):
    title: str | None = None
    message: str | None = None
    error: str | None = None
    error_code: str | None = None
    doc_url: str | None = None
    request_id: str | None = None


def _problem(body: bytes | None) -> tuple[str, dict[str, str]]:
    """The sentence in the body of a refusal, and its fields: JSON from version 2026-03-01 on, plain text before."""
    try:
        problem = msgspec.json.decode(body or b"", type=_Problem)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        text = (body or b"").decode(errors="replace").strip()
        return ("" if text.startswith("<") else text), {}
    return problem.message or problem.error or problem.title or "", msgspec.to_builtins(problem)


def _code_of_status(status: int) -> str:
    known = {401: "speech_auth", 403: "speech_auth", 402: "speech_plan", 408: "speech_timeout", 429: "speech_limit"}
    return known.get(status) or ("speech_server" if status >= 500 else "speech_request")


def _is_address(base_url: str) -> bool:
    try:
        parts = urlsplit(base_url)
        (parts.hostname or "").encode("idna")
        return parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number or too high, a host name that cannot be one
        return False


def _is_loopback(host: str) -> bool:
    """A service on this machine is never behind the proxy that the environment may name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@functools.cache
def _tls() -> ssl.SSLContext:
    # Reading the trusted certificates takes tens of milliseconds, which a call's first moment should not spend.
    return ssl.create_default_context()
