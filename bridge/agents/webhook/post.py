"""One request to a webhook agent, from letter to pieces.

What an answer means for a call is decided in `agent`; the connection is `http_exchange`'s.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from msgspec import Struct

from bridge.agents.action_json import Piece
from bridge.agents.base import Question
from bridge.agents.http_exchange import VERSION, HttpClient, HttpLimits, HttpRequest, checked_url, shown
from bridge.agents.webhook.answers import AnswerReader
from bridge.agents.webhook.wire import asking_of, delivery_headers, encode_question, question_id, signing_key
from bridge.errors import AgentError


class Letter(Struct, frozen=True):
    """What is posted: a question as it goes over the wire. The signature is made when it is sent."""

    message_id: str
    """`webhook-id`: the same each time that this is posted."""
    call_id: str
    body: bytes
    asking: str = ""
    """As in `delivery_headers`, of what is posted this once; empty: it is delivered until it has arrived."""

    @classmethod
    def of(cls, question: Question) -> Letter:
        """Write a question."""
        asking = "" if question.occasion == "call.ended" else asking_of(question)
        return cls(question_id(question), question.call.id, encode_question(question), asking)


class WebhookHttp:
    """Posts letters to one URL. Holds the connections to it.

    Raises SettingsError for a URL or secret that cannot work.
    """

    def __init__(self, url: str, *, secret: str, limits: HttpLimits, allow_private: bool) -> None:
        self._url = checked_url(url, "http://127.0.0.1:5000/agent")
        self.shown = shown(self._url)
        """The URL as a log may show it: without user, password and query."""
        self.identity = str(self._url.with_user(None).with_fragment(None))
        """What tells this agent from others, query included."""
        self.limits = limits
        self._key = signing_key(secret)
        self._client = HttpClient(allow_private=allow_private)

    async def post(self, letter: Letter, *, limits: HttpLimits | None = None) -> AsyncGenerator[list[Piece], None]:
        """Post and yield the pieces of the answer as they arrive; an empty list first, once it has a good status.

        Stopping or cancelling closes the connection, if the answer is not complete.
        Raises AgentError: `agent_unreachable`, `agent_timeout`, `agent_status`, `agent_answer` or `agent_target`.
        """
        headers = delivery_headers(
            letter.message_id,
            letter.call_id,
            letter.body,
            key=self._key,
            now=time.time(),
            version=VERSION,
            asking=letter.asking,
        )
        request = HttpRequest(self._url, headers, letter.body)
        async with self._client.ask(request, limits or self.limits) as answer:
            yield []
            reader = AnswerReader(answer.content_type)
            while not reader.done and (data := await answer.next()):
                if pieces := reader.feed(data):
                    yield pieces
            yield reader.finish()
            await answer.settle()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def failed(self, code: str, what: str) -> AgentError:
        """Make the error that says what the agent did."""
        return AgentError(f"the agent at {self.shown} {what}", code=code)
