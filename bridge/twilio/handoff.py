"""Asks an agent's own hand-off webhook what comes next for a caller, in Twilio's place.

An app of ConversationRelay names such a webhook as `<Connect action>`: Twilio posts it the call's usual fields and
what became of the session, and does what its TwiML says. Here the bridge posts, and hands the TwiML to Twilio
(protocol: "ConversationRelay: `<Connect action>` request after the session").
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from msgspec import Struct

from bridge.errors import AgentError, CarrierError
from bridge.twilio import signature, twiml

TIMEOUT_S: Final = 10.0
"""For the whole answer. Twilio gives us 15 s to hand it on."""

Form: TypeAlias = Sequence[tuple[str, str]]


class SessionEnd(Struct, frozen=True):
    """What became of an agent's session."""

    id: str
    """`VX` and 32 hexadecimal digits."""
    status: Literal["ended", "completed", "failed"]
    """`ended`: by the agent; `completed`: the caller hung up; `failed`: the agent is gone."""
    duration_s: int = 0
    data: str = ""
    """What the agent wants handed on; empty: nothing. Only with `ended`."""
    error_code: str = ""
    error_message: str = ""

    def fields(self) -> list[tuple[str, str]]:
        """Return the form fields that tell of it. Those that say nothing are left out."""
        told = [
            ("SessionId", self.id),
            ("SessionStatus", self.status),
            ("SessionDuration", str(self.duration_s)),
        ]
        if self.status == "ended" and self.data:
            told.append(("HandoffData", self.data))
        if self.status == "failed":
            told += [("ErrorCode", self.error_code), ("ErrorMessage", self.error_message)]
        return told


async def ask(
    http: aiohttp.ClientSession,
    url: str,
    form: Form,
    end: SessionEnd,
    *,
    token: str,
    timeout_s: float = TIMEOUT_S,
) -> str:
    """Post to the webhook as Twilio would, and return its TwiML, fit to be handed to Twilio.

    `form` holds the fields of Twilio's own request about the call, and goes along. `token` is the auth token that
    signs; empty: unsigned. Cancelling closes the connection. Raises AgentError: `agent_unreachable`,
    `agent_timeout`, `agent_status` (redirects are not followed) or `agent_answer` (no TwiML, or too long).
    """
    own = end.fields()
    names = {name for name, _ in own}
    fields = [*((name, value) for name, value in form if name not in names), *own]
    headers = {signature.HEADER: signature.sign(token, url, fields)} if token else {}
    shown = _shown(url)
    try:
        async with (
            asyncio.timeout(timeout_s),
            http.post(url, data=aiohttp.FormData(fields), headers=headers, allow_redirects=False) as response,
        ):
            if not 200 <= response.status < 300:
                what = f"the hand-off webhook {shown} answered with status {response.status}"
                raise AgentError(what, code="agent_status")
            body = await _bounded(response.content)
    except TimeoutError:
        what = f"the hand-off webhook {shown} did not answer within {timeout_s:g} s"
        raise AgentError(what, code="agent_timeout") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
        what = f"the hand-off webhook {shown} cannot be reached: {reason}"
        raise AgentError(what, code="agent_unreachable") from error
    if len(body) >= twiml.MAX_BYTES:
        what = f"the hand-off webhook {shown} answered with more than {twiml.MAX_BYTES} bytes"
        raise AgentError(what, code="agent_answer")
    try:
        return twiml.adopted(body.decode("utf-8-sig"), url)
    except (CarrierError, UnicodeDecodeError) as error:
        what = f"the hand-off webhook {shown} answered with something else than TwiML"
        raise AgentError(what, code="agent_answer") from error


def _shown(url: str) -> str:
    """Write a URL as a log may show it: without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """Read an answer, or as much of it as shows that it is too long."""
    body = bytearray()
    while len(body) < twiml.MAX_BYTES and (chunk := await content.readany()):
        body += chunk
    return bytes(body)
