"""The exchanges that a good agent gets through: each plays a part of a call and says what was wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from bridge.agent_check.findings import Finding
from bridge.agent_check.judge import judge, well
from bridge.agent_check.probe import Answer, Probe, Request
from bridge.agents.base import CallInfo, Interruption, Message, Question, TransferResult
from bridge.agents.webhook.wire import encode_question

HOURS = "What are your opening hours?"
OLD_S = 3600.0
AT_ONCE = 10
CANCEL_AFTER_S = (0.005, 0.05, 0.2)
"""When the connection is closed on the agent, in seconds after the question."""

MOST_UNANSWERED = 3
"""After so many questions in a row without any answer the rest is not played."""

Exchange: TypeAlias = Callable[[Probe, CallInfo], Awaitable[list[Finding]]]


def call(number: int) -> CallInfo:
    """Return the call of one exchange; each has its own, so that no answer depends on another."""
    return CallInfo(
        id=f"check-{number}",
        sid=f"CA{number:032x}",
        caller="+15550100001",
        called="+15550100002",
        started_at="2026-01-31T09:30:00.000+00:00",
    )


def turn(info: CallInfo, text: str = HOURS, **changes: Any) -> Question:
    """Return a question about the first turn of a call."""
    fields: dict[str, Any] = {
        "occasion": "turn.ended",
        "call": info,
        "reply": 2,
        "turn": 1,
        "transcript": text,
        "messages": (Message("assistant", "Hello."), Message("user", text.strip())),
    }
    return Question(**{**fields, **changes})


def found(check: str, answer: Answer, *, speaks: bool = False) -> list[Finding]:
    """Judge an answer; when nothing is wrong with it, say so."""
    return judge(check, answer, speaks=speaks) or [well(check, answer)]


# --- what every call brings --------------------------------------------------------------------------------


async def greeting(probe: Probe, info: CallInfo) -> list[Finding]:
    """`call.started`."""
    return found("greeting", await probe.ask(Question("call.started", info, reply=1)))


async def good(probe: Probe, info: CallInfo) -> list[Finding]:
    """An ordinary turn."""
    return found("turn", await probe.ask(turn(info)), speaks=True)


async def speculative(probe: Probe, info: CallInfo) -> list[Finding]:
    """A turn that may not be over, dropped and asked again with more words."""
    early = await probe.ask(turn(info, "What are your", speculative=True))
    full = await probe.ask(turn(info, reply=3))
    return judge("speculative", early) or found("speculative", full, speaks=True)


async def cancelled(probe: Probe, info: CallInfo) -> list[Finding]:
    """Connections that are closed in mid-answer, with the next question on the heels of each."""
    for number, after_s in enumerate(CANCEL_AFTER_S):
        await probe.cancel(probe.request(turn(info, reply=2 + number, turn=1 + number)), after_s)
    request = probe.request(turn(info, "Sorry, go on.", reply=8, turn=4))
    await probe.send(request, most_pieces=1)
    answer = await probe.ask(turn(info, "And on Sunday?", reply=9, turn=5))
    findings = found("cancelled", answer, speaks=True)
    if findings[0].status == "failed":
        remedy = "a closed connection means that the caller cut in: stop, and be ready for the next question"
        findings = [Finding("cancelled", "failed", f"after closed connections {findings[0].message}", remedy)]
    return findings


async def interrupted(probe: Probe, info: CallInfo) -> list[Finding]:
    """A turn with which the caller cut the agent off."""
    heard = "We are open from nine"
    messages = (Message("user", HOURS), Message("assistant", heard), Message("user", "And on Sunday?"))
    question = turn(
        info, " And on Sunday?", turn=2, interrupted=Interruption(heard, " to six on weekdays."), messages=messages
    )
    return found("interrupted", await probe.ask(question), speaks=True)


async def digits(probe: Probe, info: CallInfo) -> list[Finding]:
    """Keys: several, one, and none in time."""
    for reply, keys in enumerate(("4711", "#", ""), start=2):
        answer = await probe.ask(turn(info, "", occasion="digits", digits=keys, turn=0, reply=reply, messages=()))
        if wrong := judge("digits", answer):
            return wrong
    return [well("digits", answer)]


async def silence(probe: Probe, info: CallInfo) -> list[Finding]:
    """A caller who says nothing."""
    return found("silence", await probe.ask(turn(info, "", occasion="silence", messages=())))


async def transfer_ended(probe: Probe, info: CallInfo) -> list[Finding]:
    """A transfer that came to nothing."""
    result = TransferResult("+15550100009", "busy")
    return found("transfer.ended", await probe.ask(turn(info, "", occasion="transfer.ended", transfer=result)))


async def message(probe: Probe, info: CallInfo) -> list[Finding]:
    """Messages that the caller has left: one with words, and an empty one."""
    for reply, words in enumerate((" Please call me back.", ""), start=2):
        answer = await probe.ask(turn(info, words, occasion="message", reply=reply, messages=()))
        if wrong := judge("message", answer):
            return wrong
    return [well("message", answer)]


async def call_ended(probe: Probe, info: CallInfo) -> list[Finding]:
    """The end of a call, delivered twice as after a lost answer."""
    outcome = {"reason": "caller", "duration_ms": 61_000}
    request = probe.request(Question("call.ended", info, reply=9, turn=3, outcome=outcome))
    first, again = await probe.send(request), await probe.send(request)
    if wrong := judge("call.ended", first):
        return wrong
    if judge("call.ended", again):
        message = f"the second delivery failed: {again.error or f'status {again.status}'}"
        remedy = "call.ended may come twice with the same webhook-id: answer 2xx, and do its work once"
        return [Finding("call.ended", "failed", message, remedy)]
    if first.text:
        remedy = "answer 204; nobody is there to hear it"
        return [Finding("call.ended", "warning", "it says something after the call is over", remedy)]
    return [well("call.ended", first)]


# --- what is odd -------------------------------------------------------------------------------------------


async def repeated(probe: Probe, info: CallInfo) -> list[Finding]:
    """The same question again, as a resumed call asks it."""
    request = probe.request(turn(info))
    first, again = await probe.send(request), await probe.send(request)
    if wrong := judge("repeated", first):
        return wrong
    findings = found("repeated", again)
    if first.text and not again.text:
        message = "the same question under the same webhook-id was answered only once"
        remedy = "keep what you did from being done twice, but answer again: the first answer may be lost"
        return [Finding("repeated", "failed", message, remedy)]
    return findings


async def unknown_type(probe: Probe, info: CallInfo) -> list[Finding]:
    """An event type that does not exist yet."""
    question = turn(info)
    body = {**json.loads(encode_question(question)), "type": "weather.changed"}
    answer = await probe.send(probe.request(question, body=_encoded(body), message_id=f"msg_{info.id}"))
    findings = found("unknown event", answer)
    if findings[0].status == "failed":
        remedy = "answer 204 to types you do not know: a newer bridge may send more of them"
        return [Finding("unknown event", "failed", findings[0].message, remedy)]
    if answer.actions:
        message = "it answers an event type that it cannot know"
        return [
            Finding("unknown event", "warning", message, "look at `type`, and answer 204 to what you don't know")
        ]
    return findings


async def unknown_fields(probe: Probe, info: CallInfo) -> list[Finding]:
    """Fields that do not exist yet, everywhere."""
    question = turn(info)
    body = json.loads(encode_question(question))
    for part in (body, body["call"], body["turn"], *body["messages"]):
        part["a_field_of_the_future"] = {"new": [1, None, "x"]}
    answer = await probe.send(probe.request(question, body=_encoded(body)))
    findings = found("unknown fields", answer, speaks=True)
    if findings[0].status == "failed":
        remedy = "pass over fields that you do not know: a newer bridge may send more of them"
        return [Finding("unknown fields", "failed", findings[0].message, remedy)]
    return findings


async def odd_text(probe: Probe, info: CallInfo) -> list[Finding]:
    """What speech to text may bring: nothing, other scripts, quotes, very many words."""
    texts = ("", ' "Null" {}\\ <b>&amp;</b>', " Grüße 👋 مرحبا 你好\u2028", " and then I said" * 1000)
    for number, text in enumerate(texts, start=1):
        answer = await probe.ask(turn(info, text, turn=number, reply=number + 1))
        if wrong := [finding for finding in judge("odd text", answer) if finding.status == "failed"]:
            what = "no text at all" if not text else f"{len(text)} characters such as {text.strip()[:16]!r}"
            return [Finding("odd text", "failed", f"for {what}: {wrong[0].message}", wrong[0].remedy)]
    return [well("odd text", answer)]


async def long_call(probe: Probe, info: CallInfo) -> list[Finding]:
    """A conversation of an hour, in a body of more than 100 KB."""
    asked = Message("user", "What about the day after that one? " * 5)
    told = Message("assistant", "We are open then as well, from nine to six. " * 5)
    messages = (asked, told) * 250 + (Message("user", HOURS),)
    answer = await probe.ask(turn(info, messages=messages, turn=250, reply=251))
    findings = found("long call", answer, speaks=True)
    if answer.status == 413:
        return [Finding("long call", "failed", findings[0].message, "let requests be 2 MB at least")]
    return findings


async def slow(probe: Probe, info: CallInfo) -> list[Finding]:
    """A request that arrives in parts."""
    return found("slow network", await probe.send(probe.request(turn(info)), slowly=True))


async def at_once(probe: Probe, info: CallInfo) -> list[Finding]:
    """Several callers at the same time."""
    alone = await probe.ask(turn(info))
    if wrong := judge("at once", alone):
        return wrong
    calls = [call(1000 + number) for number in range(AT_ONCE)]
    answers = await asyncio.gather(*(probe.ask(turn(other)) for other in calls))
    for answer in answers:
        if wrong := [finding for finding in judge("at once", answer) if finding.status == "failed"]:
            return wrong
    slowest = max(answer.whole_ms for answer in answers)
    if slowest > 500 and slowest > 4 * alone.whole_ms:
        message = f"{AT_ONCE} callers at once wait {slowest} ms, one alone {alone.whole_ms} ms"
        return [Finding("at once", "warning", message, "answer several requests at a time (async, or threads)")]
    return [Finding("at once", "ok", f"{AT_ONCE} callers were answered within {slowest} ms", whole_ms=slowest)]


async def connections(probe: Probe, info: CallInfo) -> list[Finding]:
    """Whether one connection serves several questions."""
    before = probe.connections
    for number in range(3):
        await probe.ask(turn(info, turn=number + 1, reply=number + 2))
    opened = probe.connections - before
    if opened <= 1:
        return [Finding("connections", "ok", "one connection served several questions")]
    message = f"3 questions took {opened} connections"
    remedy = "keep connections open (HTTP/1.1 keep-alive, 5 s or more), which spares callers a handshake per turn"
    return [Finding("connections", "warning", message, remedy)]


# --- who may ask -------------------------------------------------------------------------------------------


async def signatures(probe: Probe, info: CallInfo) -> list[Finding]:
    """Requests that are not from the bridge: unsigned, wrongly signed, changed, or an hour old."""
    if not probe.secret:
        message = "not looked at: give the agent's secret with --secret"
        return [Finding("signatures", "skipped", message)]
    question = turn(info)
    body = encode_question(question)
    signed = probe.request(question)
    forged: Sequence[tuple[str, Any]] = (
        ("an unsigned request", probe.request(question, secret="", body=body)),
        ("a request signed with another secret", probe.request(question, secret="another secret")),  # noqa: S106
        (
            "a request that was changed on its way",
            Request(body.replace(b"opening", b"closing"), signed.headers),
        ),
        ("a request that is an hour old", probe.request(question, age_s=OLD_S)),
    )
    findings = []
    for what, request in forged:
        answer = await probe.send(request)
        findings += _refusal(what, answer)
    return findings or [Finding("signatures", "ok", "unsigned, forged, changed and old requests are refused")]


async def malformed(probe: Probe, info: CallInfo) -> list[Finding]:
    """Requests that are no questions, as scanners and health checks send them; then an ordinary one."""
    for body in (b"", b'{"type": ', b"[]", b"\xff\xfe"):
        await probe.send(probe.request(turn(info), body=body, secret="" if body == b"\xff\xfe" else None))
    answer = await probe.ask(turn(info))
    if answer.status:
        return found("malformed", answer, speaks=True)
    message = f"after requests that are no JSON it is gone: {answer.error}"
    remedy = "catch what goes wrong in a request and answer 400, or any stranger can stop your agent"
    return [Finding("malformed", "warning", message, remedy)]


def _refusal(what: str, answer: Answer) -> list[Finding]:
    if answer.status in {401, 403}:
        return []
    remedy = "check webhook-signature and webhook-timestamp before anything else (README), and answer 401"
    if 400 <= answer.status < 500:
        message = f"{what} is refused with {answer.status}"
        return [Finding("signatures", "warning", message, "answer 401 or 403, which says that it is about access")]
    told = f"status {answer.status}" if answer.status else answer.error
    return [Finding("signatures", "failed", f"{what} is not refused: {told}", remedy)]


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


EXCHANGES: Sequence[Exchange] = (
    greeting,
    good,
    speculative,
    cancelled,
    interrupted,
    digits,
    silence,
    transfer_ended,
    message,
    call_ended,
    repeated,
    unknown_type,
    unknown_fields,
    odd_text,
    long_call,
    slow,
    at_once,
    connections,
    signatures,
    malformed,
)
"""In the order in which they are played: the likely before the odd."""


async def play(probe: Probe) -> AsyncGenerator[Finding, None]:
    """Play all exchanges, one after the other. An agent that cannot be reached, or is gone, is told once."""
    for number, exchange in enumerate(EXCHANGES, start=1):
        findings = await exchange(probe, call(number))
        for finding in findings:
            yield finding
        if number == 1 and not probe.connections:
            return
        if probe.unanswered >= MOST_UNANSWERED:
            yield Finding("the rest", "skipped", "not played: the agent does not answer any more")
            return
