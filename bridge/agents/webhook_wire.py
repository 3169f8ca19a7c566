"""What the bridge posts to a webhook agent: the JSON body, the signature and the other headers.

Pure: the time is an argument, and everything that looks random is derived from the question. So a question that
is delivered twice carries the same id, whichever process delivers it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from standardwebhooks import Webhook

from bridge.agents.base import Question
from bridge.errors import SettingsError

SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of an encoded secret, not a secret
ACCEPT = "application/json, application/x-ndjson, text/event-stream, text/plain;q=0.9"


class CallBody(msgspec.Struct, frozen=True, rename={"caller": "from", "called": "to"}):
    """`call`: who is talking; the same in every question of a call."""

    id: str
    sid: str
    caller: str
    called: str
    direction: str
    parameters: dict[str, str]
    started_at: str


class TurnBody(msgspec.Struct, frozen=True):
    """`turn`: what the caller said last; number 0 and no text before the first turn."""

    number: int
    transcript: str
    speculative: bool


class InterruptedBody(msgspec.Struct, frozen=True):
    """`interrupted`: what of the agent's last answer was heard before the caller cut in, and what was not."""

    heard: str
    unheard: str


class MessageBody(msgspec.Struct, frozen=True):
    """One of `messages`, in the form of OpenAI's chat messages."""

    role: str
    content: str


class QuestionBody(msgspec.Struct, frozen=True):
    """The body of a request. Fields that are not set are left out."""

    type: str
    call: CallBody
    turn: TurnBody
    messages: tuple[MessageBody, ...]
    interrupted: InterruptedBody | UnsetType = UNSET
    digits: str | UnsetType = UNSET
    outcome: dict[str, Any] | UnsetType = UNSET


def encode_question(question: Question) -> bytes:
    """Write the question as the JSON body of a request."""
    call, cut = question.call, question.interrupted
    return msgspec.json.encode(
        QuestionBody(
            type=question.occasion,
            call=CallBody(
                id=call.id,
                sid=call.sid,
                caller=call.caller,
                called=call.called,
                direction=call.direction,
                parameters=dict(call.parameters),
                started_at=call.started_at,
            ),
            turn=TurnBody(question.turn, question.transcript, question.speculative),
            messages=tuple(MessageBody(message.role, message.content) for message in question.messages),
            interrupted=UNSET if cut is None else InterruptedBody(cut.heard, cut.unheard),
            digits=question.digits if question.occasion == "digits" else UNSET,
            outcome=dict(question.outcome) if question.occasion == "call.ended" else UNSET,
        )
    )


def signing_key(secret: str) -> bytes:
    """Turn the setting `agent.secret` into the bytes of the key.

    `whsec_` and base64, the form of Standard Webhooks, is decoded. Any other text is its own UTF-8 bytes: an agent
    that checks with a Standard Webhooks library then hands it over as bytes (`Webhook(secret.encode())`).
    Raises SettingsError when what follows `whsec_` is not base64; the message does not repeat the secret.
    """
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    encoded = secret.removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise SettingsError(
            "agent.secret (BRIDGE_AGENT__SECRET) begins with whsec_ but no base64 follows: "
            "paste the whole secret, or use any text without that beginning"
        )
    return key


def question_id(question: Question, body: bytes) -> str:
    """Name the question for `webhook-id`: the same for each delivery of it, another for every other question."""
    return "msg_" + hashlib.sha256(b"%d %b" % (question.reply, body)).hexdigest()[:32]


def traceparent(call_id: str, message_id: str, attempt: int = 0) -> str:
    """Write the W3C `traceparent`: one trace per call, one span per delivery, marked as sampled."""
    trace = hashlib.sha256(f"phone-bridge call {call_id}".encode()).hexdigest()[:32]
    span = hashlib.sha256(f"{message_id} {attempt}".encode()).hexdigest()[:16]
    return f"00-{trace}-{span}-01"


def build_headers(
    question: Question, body: bytes, *, key: bytes, now: float, version: str, attempt: int = 0
) -> dict[str, str]:
    """Write the headers of one delivery of `body`.

    `now` is the wall clock in seconds since 1970; an agent refuses signatures older than five minutes. Without a
    key the request carries the same headers but no `webhook-signature`.
    """
    message_id = question_id(question, body)
    seconds = int(now)
    headers = {
        "content-type": "application/json",
        "accept": ACCEPT,
        # A compressing proxy holds text back until its window is full: speech has to come as it is made.
        "accept-encoding": "identity",
        "user-agent": f"phone-bridge/{version}",
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "traceparent": traceparent(question.call.id, message_id, attempt),
    }
    if key:
        sent_at = datetime.fromtimestamp(seconds, UTC)
        headers["webhook-signature"] = Webhook(key).sign(message_id, sent_at, body.decode())
    return headers
