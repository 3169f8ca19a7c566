"""An agent that answers at once: a webhook whose own time is none of the bridge's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from bridge.agents.webhook.wire import QuestionBody
from bridge.bench.figures import ASK, ASK_EAGERLY, SYNTHESIZE
from bridge.bench.speech import answer
from bridge.bench.talk import Talk, clock

PATH: Final = "/agent"
_SID: Final = re.compile(r"CA0*(\d+)")
_question = msgspec.json.Decoder(QuestionBody)


def call_sid(number: int) -> str:
    """The carrier's name of a call."""
    return f"CA{number:032d}"


class InstantAgent:
    """Answers each question with one sentence of JSON; `talks` are the calls by number."""

    def __init__(self, talks: Mapping[int, Talk]) -> None:
        self._talks = talks

    def add_to(self, app: web.Application) -> None:
        """Serve the webhook under `PATH`."""
        app.router.add_post(PATH, self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        at = clock()
        question = _question.decode(await request.read())
        found = _SID.fullmatch(question.call.sid)
        talk = None if found is None else self._talks.get(int(found[1]))
        if talk is None or question.type == "call.ended":
            return web.Response(status=204)
        if question.type == "turn.ended":
            talk.reached(ASK_EAGERLY if question.turn.speculative else ASK, at)
        body = msgspec.json.encode({"say": answer(talk.number, question.turn.number)})
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        # The head waits for the body: this is the first byte of the answer.
        talk.begin(SYNTHESIZE)
        await response.write(body)
        await response.write_eof()
        return response
