"""Twilio's REST API, off the event loop. Twilio REST: Calls, IncomingPhoneNumbers.

The `twilio` library waits for its answers, so every request runs in a thread. Cancelling a coroutine here stops
the waiting, not the request: what Twilio was asked to do, it does. The library and what it stands on take time to
import and memory to keep, so they come with the first request, on its thread: see `rest_library`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from msgspec import Struct

from bridge.errors import CarrierError
from bridge.twilio.listening import LISTENER, check_parameter
from bridge.twilio.twiml import MAX_UPDATE_CHARACTERS

T = TypeVar("T")

TIMEOUT_S = 10.0
"""How long one request may take, in seconds."""
_THREADS = 8
"""How many requests are under way at the same time; more wait."""
_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


class NumberWebhooks(Struct, frozen=True):
    """What Twilio does with calls to one of the account's numbers."""

    number: str
    """E.164."""
    voice_url: str
    """Where Twilio asks what to do; empty when nothing is set."""
    voice_method: str
    """`POST` or `GET`."""


class NewCall(Struct, frozen=True):
    """A call that Twilio is to place ("Twilio REST: outbound call")."""

    to: str
    """E.164."""
    from_number: str
    """E.164, one of the account's numbers."""
    status_url: str
    """Where Twilio reports how far the call is."""
    url: str = ""
    """Where Twilio asks what to do once somebody has answered; this or `twiml` must be given."""
    twiml: str = ""
    """The document itself, 4000 characters at most."""
    ring_seconds: int = 60
    machine_detection: str = ""
    """`Enable` tells who answered as soon as it is known, `DetectMessageEnd` of machines behind their greeting."""
    verdict_url: str = ""
    """Where Twilio then tells that, while the call goes on; empty: it asks `url` with it, and only then."""


class ListenerStream(Struct, frozen=True):
    """A stream that is to listen to a live call ("Twilio REST: unidirectional streams")."""

    url: str
    """Where it leads: `wss://` without a query."""
    status_url: str
    """Where Twilio tells of its fate."""
    token: str
    """Goes along as its parameter `token`."""


class CallParties(Struct, frozen=True):
    """Who talks in a call, as Twilio has it."""

    caller: str
    called: str
    direction: str
    """`inbound`, `outbound-api` or `outbound-dial`."""


class TwilioRest:
    """One account. Every method raises `CarrierError` with a code and a sentence when Twilio does not do it."""

    def __init__(
        self, account_sid: str, auth_token: str, api_url: str = "", *, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`api_url` is the origin of a stand-in for https://api.twilio.com (tests, proxies); empty is Twilio."""
        self._where = api_url or "https://api.twilio.com"
        self._account = (account_sid, auth_token, api_url, timeout_s)
        self._made: Any = None
        self._making = threading.Lock()
        # Threads of its own: when Twilio hangs, nothing else that waits in a thread waits for it.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="twilio-rest")

    @property
    def _client(self) -> Any:
        """The library's client. Only for the threads: the first that asks imports the library."""
        with self._making:
            if self._made is None:
                from bridge.twilio.rest_library import make_client  # noqa: PLC0415  (see the head of this file)

                self._made = make_client(*self._account)
            return self._made

    def take(self, auth_token: str) -> None:
        """Ask with this token from now on."""
        with self._making:
            account_sid, before, api_url, timeout_s = self._account
            if auth_token != before:
                self._account, self._made = (account_sid, auth_token, api_url, timeout_s), None

    def close(self) -> None:
        """Ask nothing more. What is under way goes on without anybody waiting for it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def create_call(self, call: NewCall) -> str:
        """Place a call and return its id. It may be answered, and its media stream be there, before this returns.

        Raises `NotTakenError` when it can be asked again without a second call.
        """
        options: dict[str, Any] = {"url": call.url} if call.url else {"twiml": call.twiml}
        if call.machine_detection:
            options["machine_detection"] = call.machine_detection
            if call.verdict_url:
                # The library knows these as texts.
                options |= {"async_amd": "true", "async_amd_status_callback": call.verdict_url}
        try:
            placed = await self._do(
                lambda: self._client.calls.create(
                    to=call.to,
                    from_=call.from_number,
                    timeout=call.ring_seconds,
                    status_callback=call.status_url,
                    status_callback_event=["initiated", "ringing", "answered", "completed"],
                    **options,
                )
            )
        except CallOverError as error:
            raise CarrierError(f"Twilio does not place the call: {error.message}", code=error.code) from error
        if not placed.sid:
            raise CarrierError(f"{self._where} does not answer as Twilio's REST API", code="carrier_request")
        return str(placed.sid)

    async def call_status(self, call_sid: str) -> str:
        """Return how far a call is, in Twilio's words. Raises `CallOverError` when Twilio does not know it."""
        return str((await self._do(lambda: self._client.calls(call_sid).fetch())).status)

    async def cancel_call(self, call_sid: str) -> str:
        """Let a call ring no more; one that was answered goes on ("Twilio REST: Calls, Status").

        Returns how far it is then, in Twilio's words; empty: Twilio does not say.
        """
        try:
            updated = await self._do(lambda: self._client.calls(call_sid).update(status="canceled"))
        except CallOverError:
            return ""
        return str(updated.status or "")

    async def hang_up(self, call_sid: str) -> None:
        """End the call now. A call that is over already is fine."""
        try:
            await self._do(lambda: self._client.calls(call_sid).update(status="completed"))
        except CallOverError:
            return

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Make the call go on with this document; its media stream ends. Raises `CallOverError` when it is over."""
        if len(twiml) > MAX_UPDATE_CHARACTERS:
            raise CarrierError(
                f"the TwiML is {len(twiml)} characters long, Twilio takes {MAX_UPDATE_CHARACTERS} in a request",
                code="carrier_request",
            )
        await self._do(lambda: self._client.calls(call_sid).update(twiml=twiml))

    async def start_stream(self, call_sid: str, stream: ListenerStream) -> str:
        """Let a stream listen to both sides of a live call, and return its id.

        Raises `CallOverError` when the call is over, or never was.
        """
        check_parameter("token", stream.token)
        started = await self._do(
            lambda: self._client.calls(call_sid).streams.create(
                url=stream.url,
                name=LISTENER,
                track="both_tracks",
                status_callback=stream.status_url,
                status_callback_method="POST",
                parameter1_name="token",
                parameter1_value=stream.token,
            )
        )
        return str(started.sid)

    async def stop_stream(self, call_sid: str) -> None:
        """Stop the stream that listens to a call. Raises `CallOverError` when there is none."""
        await self._do(lambda: self._client.calls(call_sid).streams(LISTENER).update(status="stopped"))

    async def call_parties(self, call_sid: str) -> CallParties:
        """Return who talks in a call. Raises `CallOverError` when Twilio does not know it, or it is over."""
        call = await self._do(lambda: self._client.calls(call_sid).fetch())
        if call.status in _OVER:
            raise CallOverError(f"the call is {call.status}")
        return CallParties(
            caller=getattr(call, "_from", "") or "", called=call.to or "", direction=call.direction or "inbound"
        )

    async def number_webhooks(self, number: str = "") -> list[NumberWebhooks]:
        """The voice webhooks of one number of the account (none if it is not there), or of its first twenty."""
        found = await self._do(
            lambda: self._client.incoming_phone_numbers.list(
                limit=20, **({"phone_number": number} if number else {})
            )
        )
        return [
            NumberWebhooks(
                number=entry.phone_number, voice_url=entry.voice_url or "", voice_method=entry.voice_method
            )
            for entry in found
        ]

    async def _do(self, request: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, request)
        except Exception as error:
            from bridge.twilio.rest_library import carrier_error  # noqa: PLC0415  (the thread has imported it)

            if (told := carrier_error(error, self._where)) is None:
                raise
            raise told from error


class CallOverError(CarrierError):
    """Twilio answered that the call is over already, or never was (20404, 21220)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="carrier_request")


class NotTakenError(CarrierError):
    """Twilio has not taken the request (429, no connection), so that asking again cannot do it twice."""
