"""What is wrong with one answer, in plain words, and how to mend it. Pure."""

from __future__ import annotations

import re
from itertools import pairwise

from bridge.agent_check.findings import Finding, Status
from bridge.agent_check.probe import Answer
from bridge.conversation.actions import Say

SLOW_MS = 1500
"""A first piece later than this is a pause that callers notice."""

_MARKUP = re.compile(r"</?\w+[^>]*>|\*\*|```|^#+ |^[-*] |\[[^\]]+\]\(", re.MULTILINE)
_UTF_8 = (
    "application/json",
    "application/x-ndjson",
    "application/jsonl",
    "application/ndjson",
    "text/event-stream",
)


def judge(check: str, answer: Answer, *, speaks: bool = False) -> list[Finding]:
    """Return everything that is wrong with an answer; empty: nothing is.

    `speaks`: silence would leave the caller waiting.
    """
    if fatal := _unanswered(check, answer):
        return [fatal]
    found = [*_unusable(check, answer), *_unheard(check, answer)]
    if answer.error:
        found.append(_finding(check, answer, "failed", answer.error, _broken_remedy(answer)))
    elif speaks and not answer.actions and not found:
        message = "the answer is empty: the caller said something and hears nothing"
        remedy = 'say something, or a short "I am not sure what you mean." at least'
        found.append(_finding(check, answer, "warning", message, remedy))
    if speaks and answer.first_ms is not None and answer.first_ms > SLOW_MS:
        found.append(_slow(check, answer))
    return found


def well(check: str, answer: Answer) -> Finding:
    """Return the finding for an answer with which nothing is wrong: what came, and how fast."""
    if not answer.actions:
        return _finding(check, answer, "ok", f"status {answer.status}, nothing to say")
    kinds = [type(action).__name__ for action in answer.actions if not isinstance(action, Say)]
    said = [_quoted(answer.text)] if answer.text else []
    return _finding(check, answer, "ok", " · ".join([*said, *kinds]))


def _unanswered(check: str, answer: Answer) -> Finding | None:
    status, text = answer.status, answer.body.decode(errors="replace").strip()
    if status == 0:
        remedy = "start the agent, and see that the URL is right" if answer.error_code == "unreachable" else ""
        return _finding(check, answer, "failed", answer.error, remedy or "answer sooner; a first word is enough")
    if 200 <= status < 300:
        return None
    message = f"it answered with status {status}" + (f": {_quoted(text)}" if text else "")
    if 300 <= status < 400:
        where = f" ({answer.location})" if answer.location else ""
        remedy = f"redirects are not followed: give the final address{where} as the URL"
    elif status in {401, 403}:
        remedy = "is this the secret that the agent checks signatures with? Give it with --secret"
    elif status == 404:
        remedy = "see that the path of the URL is right"
    elif status == 405:
        remedy = "let this path take POST"
    elif status >= 500:
        remedy = "the agent failed over this request: see its own log"
    else:
        remedy = "answer 200 with something to say, or 204"
    return _finding(check, answer, "failed", message, remedy)


def _unusable(check: str, answer: Answer) -> list[Finding]:
    """What is in the answer and cannot be carried out."""
    found = []
    for kind, reason in {refused.kind: refused.reason for refused in answer.refused}.items():
        if kind == "malformed" and answer.error_code == "agent_answer":
            continue  # The whole answer is no good, which is said once.
        what = (
            "a part of the answer is not understood" if kind == "malformed" else f"the action {kind!r} is refused"
        )
        remedy = "the forms of an answer are in the README and in config/agent.schema.json"
        found.append(_finding(check, answer, "failed", f"{what}: {reason}", remedy))
    if answer.content_type.partition(";")[0].strip().lower() in _UTF_8 or _claims_utf_8(answer):
        try:
            answer.body.decode()
        except UnicodeDecodeError as error:
            message = f"byte {error.start} of the answer is no UTF-8"
            found.append(_finding(check, answer, "failed", message, "encode what you answer as UTF-8"))
    return found


def _claims_utf_8(answer: Answer) -> bool:
    media_type, _, parameters = answer.content_type.lower().partition(";")
    return media_type.strip() == "text/plain" and ("charset" not in parameters or "utf-8" in parameters)


def _unheard(check: str, answer: Answer) -> list[Finding]:
    """What can be carried out and would sound wrong."""
    found = []
    if mark := _MARKUP.search(answer.text):
        message = f"the text holds marks that are made for eyes: {_quoted(mark[0])}"
        remedy = "answer in plain sentences; ask your model for text without Markdown and tags"
        found.append(_finding(check, answer, "warning", message, remedy))
    texts = [action.text for action in answer.actions if isinstance(action, Say)]
    for left, right in pairwise(texts):
        if left[-1:] in {".", "!", "?"} and right[:1].isalpha():
            message = f"two pieces run into each other: {_quoted(left[-15:] + right[:15])}"
            remedy = "pieces are joined exactly as they come: end or begin them with a space"
            found.append(_finding(check, answer, "warning", message, remedy))
            break
    return found


def _slow(check: str, answer: Answer) -> Finding:
    message = f"the first piece came after {answer.first_ms} ms, and callers notice {SLOW_MS} ms"
    streamed = "json" not in answer.content_type or "ndjson" in answer.content_type
    remedy = (
        "write the first sentence as soon as you have it"
        if streamed
        else "stream the answer (text/plain, or application/x-ndjson), so that the first sentence can be spoken"
        " while the next is being made"
    )
    return _finding(check, answer, "warning", message, remedy)


def _broken_remedy(answer: Answer) -> str:
    if answer.error_code == "timeout":
        return "end the answer; what came until then is spoken, but the caller waits for the rest"
    if answer.error_code == "agent_answer":
        return "the forms of an answer are in the README and in config/agent.schema.json"
    return "end the answer properly; see the agent's own log"


def _finding(check: str, answer: Answer, status: Status, message: str, remedy: str = "") -> Finding:
    return Finding(check, status, message, remedy, first_ms=answer.first_ms, whole_ms=answer.whole_ms)


def _quoted(text: str) -> str:
    shown = " ".join(text.split())
    return f"“{shown[:80]}…”" if len(shown) > 80 else f"“{shown}”"
