"""What the bridge posts to a webhook agent: the JSON body, the signature and the other headers.

Pure: the time is an argument, and everything that looks random is derived from the question. So a question that
is asked again carries the same id, whichever process asks it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from standardwebhooks import Webhook

from bridge.agents.base import Question
from bridge.errors import SettingsError

SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of an encoded secret, not a secret
ACCEPT = "application/json, application/x-ndjson, text/event-stream, text/plain;q=0.9"


class CallBody(msgspec.Struct, frozen=True, rename={"caller": "from", "called": "to"}):
    """Who is talking; the same in every question of a call."""

    id: Annotated[str, Meta(description="The bridge's own id of the call.")]
    sid: Annotated[str, Meta(description="The carrier's id of the call.", examples=["CA0123456789abcdef"])]
    caller: Annotated[str, Meta(description="The caller's number, or their sip: or client: address.")]
    called: Annotated[str, Meta(description="The number that was dialled.")]
    direction: Annotated[str, Meta(description="inbound or outbound.")]
    parameters: Annotated[dict[str, str], Meta(description="What the voice webhook handed along.")]
    started_at: Annotated[str, Meta(description="When the call began: ISO 8601, in UTC.")]


class TurnBody(msgspec.Struct, frozen=True):
    """What the caller said last; number 0 and no text before the first turn."""

    number: Annotated[int, Meta(ge=0, description="Number of the caller's turn within the call, from 1.")]
    transcript: Annotated[str, Meta(description="What the caller said, verbatim.")]
    speculative: Annotated[
        bool, Meta(description="True: the caller may still go on, and the answer is perhaps never heard.")
    ]


class InterruptedBody(msgspec.Struct, frozen=True):
    """What of the agent's last answer was heard before the caller cut in, and what was not."""

    heard: str
    unheard: str


class MessageBody(msgspec.Struct, frozen=True):
    """One entry of the conversation so far, in the form of OpenAI's chat messages; only what was really heard."""

    role: Annotated[str, Meta(description="user or assistant.")]
    content: str


class TransferEndedBody(msgspec.Struct, frozen=True):
    """How a transfer ended that did not come about; the caller is back."""

    to: Annotated[str, Meta(description="Where the caller was to be transferred.")]
    status: Annotated[str, Meta(description="busy, no-answer, failed, canceled or declined.")]


class QuestionBody(msgspec.Struct, frozen=True):
    """The body of a request. Fields that are not set are left out, and others may be added in time."""

    type: Annotated[
        str,
        Meta(
            description="What happened. Answer 204 to a type you do not know.",
            examples=[
                "call.started",
                "turn.ended",
                "digits",
                "silence",
                "transfer.ended",
                "message",
                "call.resumed",
                "call.ended",
            ],
        ),
    ]
    call: CallBody
    turn: TurnBody
    messages: tuple[MessageBody, ...]
    interrupted: InterruptedBody | UnsetType = UNSET
    digits: Annotated[str, Meta(description="`digits` only: the keys pressed; empty: none came.")] | UnsetType = (
        UNSET
    )
    transfer: TransferEndedBody | UnsetType = UNSET
    state: (
        Annotated[dict[str, Any], Meta(description="What the agent has remembered of this call, by `remember`.")]
        | UnsetType
    ) = UNSET
    outcome: (
        Annotated[dict[str, Any], Meta(description="`call.ended` only: `reason`, `duration_ms`, `notes`.")]
        | UnsetType
    ) = UNSET


def encode_question(question: Question) -> bytes:
    """Write the question as the JSON body of a request."""
    call, cut = question.call, question.interrupted
    occasion: str = question.occasion
    return msgspec.json.encode(
        QuestionBody(
            type=occasion,
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
            digits=question.digits if occasion == "digits" else UNSET,
            transfer=_transfer(question),
            state=dict(question.state) or UNSET,
            outcome=dict(question.outcome) if occasion == "call.ended" else UNSET,
        )
    )


def _transfer(question: Question) -> TransferEndedBody | UnsetType:
    result = question.transfer
    return UNSET if result is None else TransferEndedBody(result.to, result.status)


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


def question_id(question: Question) -> str:
    """Name the question for `webhook-id`: the same each time that it is asked, another for every other question.

    A call begins and ends once. What the caller said in a turn is one question, whether the call was resumed
    meanwhile or not; its speculative form, to which nothing may be done yet, is another. Keys, silences and
    transfers may come again within a turn and are told apart by the number of their reply: the first one's, where a
    crash has broken that off and the same is asked again.
    """
    occasion: str = question.occasion
    match occasion:
        case "call.started" | "call.ended":
            what: list[str | int | bool] = []
        case "turn.ended":
            what = [question.turn, question.speculative, question.transcript]
        case _:
            what = [question.turn, question.repeats or question.reply, question.digits]
    named = msgspec.json.encode([question.call.id, occasion, *what])
    return "msg_" + hashlib.sha256(named).hexdigest()[:32]


def asking_of(question: Question) -> str:
    """Name one asking of a question: it may come again under a new number, or from the call's next process."""
    return f"{question_id(question)} {question.call.epoch} {question.reply}"


def traceparent(call_id: str, delivery: str) -> str:
    """Write the W3C `traceparent`: one trace per call, one span per delivery, marked as sampled.

    `delivery` tells it from all others: no two spans may have the same id.
    """
    trace = hashlib.sha256(f"phone-bridge call {call_id}".encode()).hexdigest()[:32]
    span = hashlib.sha256(delivery.encode()).hexdigest()[:16]
    return f"00-{trace}-{span}-01"


def delivery_headers(
    message_id: str, call_id: str, body: bytes, *, key: bytes, now: float, version: str, asking: str = ""
) -> dict[str, str]:
    """Write the headers of one delivery of a body.

    `now` is the wall clock in seconds since 1970; an agent refuses signatures older than five minutes, so each
    attempt is signed anew, under the same `message_id`. `asking` is the question's `asking_of`, where it is posted
    once: so whoever traces calls knows its span as well. Without a key the request carries the same headers but no
    `webhook-signature`.
    """
    seconds = int(now)
    headers = {
        "content-type": "application/json",
        "accept": ACCEPT,
        # A compressing proxy holds text back until its window is full: speech has to come as it is made.
        "accept-encoding": "identity",
        "user-agent": f"phone-bridge/{version}",
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "traceparent": traceparent(call_id, asking or f"{message_id} {now}"),
    }
    if key:
        sent_at = datetime.fromtimestamp(seconds, UTC)
        headers["webhook-signature"] = Webhook(key).sign(message_id, sent_at, body.decode())
    return headers
