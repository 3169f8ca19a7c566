"""What can be done by the API to calls between two people: end them, note something, pause their recording."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.call.log_calls import Parties
from bridge.call.log_session import LogSession
from bridge.conversation.events import StreamStarted, StreamStopped
from bridge.conversation.overheard import ListenPolicy
from tests.api.live_world import LiveWorld, live_world
from tests.call.peers import Recognizers

ACCOUNT = "AC" + "1" * 32
SID = "CA" + "2" * 32


def two_people(world: LiveWorld) -> LogSession:
    """Let two people talk in a call that the bridge listens to."""
    who = Parties(SID, "+15550100001", "+15550100005", elsewhere=True)
    session = world.up.registry.logs.open(who, ListenPolicy(drain_s=0.1), Recognizers())
    session.take(StreamStarted())
    return session


async def over(session: LogSession) -> None:
    session.take(StreamStopped("caller"))
    async with asyncio.timeout(5):
        await session.ended.wait()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LiveWorld]:
    async with live_world(tmp_path) as world:
        yield world


@pytest.mark.parametrize(
    ("name", "body"), [("say", {"text": "Hi"}), ("digits", {"digits": "1"}), ("transfer", {"to": "+15550100009"})]
)
async def test_nothing_can_be_said_or_done_in_their_place(world: LiveWorld, name: str, body: object) -> None:
    session = two_people(world)
    status, answer = await world.act(SID, name, body)
    assert (status, answer["code"]) == (409, "call_not_ours")
    assert "the bridge only listens" in answer["detail"]
    await over(session)


async def test_a_note_is_kept_and_the_recording_paused(world: LiveWorld, tmp_path: Path) -> None:
    session = two_people(world)
    follower = await world.follow(after="0-0")
    (shown,) = await world.live()
    assert (shown["mode"], shown["agent"], shown["saying"]) == ("log", "log", None)
    assert (await world.act(SID, "note", {"data": {"k": 1}}))[0] == 202
    assert (await world.act(SID, "recording", {"state": "paused"}))[0] == 202
    await follower.until("recording", state="paused")
    await over(session)
    await follower.until("call.ended")
    assert session.files is not None
    text = session.files.journal.read_text()
    assert '"note_taken"' in text
    assert '"recording_paused"' in text


async def test_without_credentials_it_cannot_be_ended(world: LiveWorld) -> None:
    session = two_people(world)
    status, answer = await world.act(SID, "hang-up")
    assert (status, answer["code"]) == (503, "not_set_up")
    await over(session)


async def test_the_carrier_is_asked_to_end_it(tmp_path: Path) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    async def update(request: web.Request) -> web.Response:
        asked.append((request.match_info["sid"], dict(await request.post())))  # type: ignore[arg-type]  # no files
        return web.json_response({"sid": SID, "status": "completed"})

    app = web.Application()
    app.router.add_post(f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{{sid}}.json", update)
    async with TestServer(app) as twilio:
        environment = {
            "BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT,
            "BRIDGE_TWILIO__API_URL": str(twilio.make_url("/")).rstrip("/"),
        }
        async with live_world(tmp_path, **environment) as world:
            session = two_people(world)
            assert (await world.act(SID, "hang-up", {"say": "Bye"}))[0] == 409
            status, answer = await world.act(SID, "hang-up")
            assert (status, answer["will"]) == (202, "The carrier ends the call now.")
            await over(session)
            assert (await world.act(SID, "hang-up"))[0] == 404
    assert asked == [(SID, {"Status": "completed"})]
