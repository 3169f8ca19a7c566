"""Which call's hand-off webhook is asked, how often, and what the caller hears when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from bridge.agents.relay.agent import RelayAgent
from bridge.assembly import relay_profile
from bridge.assembly.relay_profile import HandOffs
from bridge.conversation.commands import Command, LeaveCall, TellAgentEnded
from bridge.conversation.events import DeadlineReached
from bridge.settings.source import load_settings
from tests.agents.asking import CALL

FORM = [("CallSid", CALL.sid), ("CallStatus", "in-progress"), ("To", CALL.called)]
DOCUMENT = "<Response><Hangup/></Response>"
LEFT = LeaveCall("handoff", handoff="x")
OVER: list[Command] = [TellAgentEnded(9, "caller", 1000, ())]


class Webhook:
    """A hand-off webhook."""

    def __init__(self) -> None:
        self.posted: list[dict[str, str]] = []
        self.status = 200
        self.url = ""
        self.app = web.Application()
        self.app.router.add_post("/next", self._next)

    async def _next(self, request: web.Request) -> web.Response:
        self.posted.append({name: str(value) for name, value in (await request.post()).items()})
        return web.Response(text=DOCUMENT, content_type="text/xml", status=self.status)


@pytest.fixture
async def webhook(aiohttp_server: AiohttpServer) -> Webhook:
    webhook = Webhook()
    webhook.url = str((await aiohttp_server(webhook.app)).make_url("/next"))
    return webhook


@pytest.fixture
async def app(unused_tcp_port: int) -> AsyncIterator[RelayAgent]:
    """The agent that has the call."""
    relay = RelayAgent(f"ws://127.0.0.1:{unused_tcp_port}/relay")
    relay.attend(CALL, lambda: None)
    yield relay
    await relay.close()


def asking(app: RelayAgent, url: str, **environment: str) -> HandOffs:
    settings = load_settings(
        environment={
            "BRIDGE_AGENT__URL": "wss://agent.example.com/relay",
            "BRIDGE_RELAY__ACTION_URL": url,
            **environment,
        },
        files=(),
    )
    return HandOffs(settings, app.session)


async def test_a_webhook_is_asked_once_however_often_twilio_asks(webhook: Webhook, app: RelayAgent) -> None:
    doors = asking(app, webhook.url)
    answers = await asyncio.gather(*(doors.document(CALL.sid, FORM, LEFT) for _ in range(3)))
    doors.observer(CALL)(0.0, DeadlineReached(), OVER)
    await doors.close()

    assert answers == [DOCUMENT] * 3
    assert len(webhook.posted) == 1
    assert webhook.posted[0]["SessionId"].startswith("VX")


async def test_a_call_without_a_session_or_a_webhook_has_nobody_to_ask(webhook: Webhook, app: RelayAgent) -> None:
    assert await asking(app, webhook.url).document("CA0", FORM, None) is None
    assert await asking(app, "").document(CALL.sid, FORM, None) is None
    assert webhook.posted == []


async def test_twilio_is_given_a_moment_to_ask_before_the_end_of_a_call_is_told(
    webhook: Webhook, app: RelayAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_profile, "TWILIO_ASKS_WITHIN_S", 0.05)
    doors = asking(app, webhook.url, BRIDGE_TWILIO__ACCOUNT_SID="AC" + "1" * 32)
    look = doors.observer(CALL)
    look(0.0, DeadlineReached(), [TellAgentEnded(9, "handoff", 1000, ())])
    look(0.0, DeadlineReached(), OVER)
    async with asyncio.timeout(5):
        while not webhook.posted:  # noqa: ASYNC110  Nobody is told.
            await asyncio.sleep(0.005)
    await doors.close()

    (posted,) = webhook.posted
    told = {name: posted[name] for name in ("AccountSid", "CallSid", "CallStatus", "From", "To", "Direction")}
    assert told == {
        "AccountSid": "AC" + "1" * 32,
        "CallSid": CALL.sid,
        "CallStatus": "completed",
        "From": CALL.caller,
        "To": CALL.called,
        "Direction": "inbound",
    }


@pytest.mark.parametrize(
    ("environment", "heard"),
    [
        ({}, "call again later"),
        ({"BRIDGE_TURNS__FAILURE_TRANSFER": "+15550100300"}, "<Number>+15550100300</Number>"),
    ],
)
async def test_a_webhook_that_fails_is_covered_as_set(
    webhook: Webhook, app: RelayAgent, environment: dict[str, Any], heard: str
) -> None:
    webhook.status = 503
    doors = asking(app, webhook.url, **environment)

    assert heard in (await doors.document(CALL.sid, FORM, None) or "")
    await doors.close()


async def test_a_webhook_in_a_private_network_is_not_asked_where_that_is_not_allowed(
    webhook: Webhook, app: RelayAgent
) -> None:
    doors = asking(app, webhook.url, BRIDGE_AGENT__ALLOW_PRIVATE="false")

    assert "call again later" in (await doors.document(CALL.sid, FORM, None) or "")
    assert webhook.posted == []
    await doors.close()
