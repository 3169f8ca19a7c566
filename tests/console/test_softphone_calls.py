"""Calls of a page, over real sockets: what the API hands out, and what comes next when a stream is over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.app import Bridge, running
from bridge.conversation.actions import Action, HangUp, Say, SendDigits, Transfer
from bridge.settings.source import load_settings
from bridge.simulator.rest import FakeTwilioRest
from bridge.twilio.media_stream import CarrierStream
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import PYTHON, TOKEN, Asked, agent, counted, live, speech
from tests.test_transfers import ACCOUNT, asked_about
from tests.waiting import until

__all__ = ["agent", "speech"]

DESK = "+15550100009"
CALLED = "+15550100002"


class Page:
    """What the page of the softphone does, without a browser."""

    def __init__(self, up: Bridge, http: aiohttp.ClientSession) -> None:
        self.up = up
        self.http = http
        self.sid = ""
        self.call = ""
        self.came: list[Any] = []
        self.reader: asyncio.Task[None] | None = None

    async def ask(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        async with self.http.post(f"{self.up.url}/api/v1/softphone{path}", json=body, headers=headers) as answer:
            found = await answer.json(content_type=None)
            assert answer.status == status, found
            return found

    async def place(self, **body: Any) -> list[Any]:
        found = await self.ask("", body or None, 201)
        self.sid, self.call = found["sid"], found["call"]
        assert found["stream_url"] == "/twilio/media"
        steps: list[Any] = found["steps"]
        return steps

    async def stream(self, step: Any) -> aiohttp.ClientWebSocketResponse:
        """Open the stream that a step names."""
        assert step["do"] == "stream"
        socket = await self.http.ws_connect(self.up.url + "/twilio/media", headers={"Origin": self.up.url})
        wire = CarrierStream(stream_sid=f"MZ{uuid.uuid4().hex}", call_sid=self.sid, account_sid="AC0")
        await socket.send_str(wire.connected())
        await socket.send_str(wire.start(step["parameters"]))
        self.wire = wire
        self.socket = socket
        return socket

    async def played_out(self) -> None:
        """Give marks back as they come, until the bridge leaves the stream."""
        async with asyncio.timeout(10):
            async for message in self.socket:
                found = json.loads(message.data)
                self.came.append(found)
                if found["event"] == "mark":
                    await self.socket.send_str(self.wire.mark(found["mark"]["name"]))

    async def next(self, step: Any, **more: Any) -> list[Any]:
        after = "dial" if step["do"] == "dial" else "stream"
        found = await self.ask(f"/{self.sid}/next", {"after": after, "leg": step["leg"], **more})
        steps: list[Any] = found["steps"]
        return steps


@contextlib.asynccontextmanager
async def paging(
    folder: Path, speech: ScriptedSpeech, *, config: Path | None = None, own: Mapping[str, str] | None = None
) -> AsyncIterator[Page]:
    settings = await asyncio.to_thread(
        load_settings,
        config,
        environment={
            "BRIDGE_SERVER__PORT": "0",
            "BRIDGE_SPEECH__BASE_URL": speech.url,
            "BRIDGE_SPEECH__API_KEY": "sk_test",
            "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
            "BRIDGE_STORE__RECORDINGS": str(folder),
            **PYTHON,
            **(own or {}),
        },
        files=(),
    )
    async with running(settings) as up, aiohttp.ClientSession() as http:
        yield Page(up, http)


async def answered(page: Page, speech: ScriptedSpeech, agent: Asked, *actions: Action) -> tuple[Any, list[Any]]:
    """Let the agent answer a turn with actions that leave the stream; return the stream's step and what is next."""
    agent.answers.append([*actions])
    (step,) = await page.place()
    await page.stream(step)
    peer = await speech.listener()
    await peer.say_turn("Please.")
    await page.played_out()
    return step, await page.next(step)


async def test_a_call_has_the_ids_that_were_promised_and_is_over_when_the_page_hangs_up(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with paging(tmp_path, speech) as page:
        (step,) = await page.place(number=CALLED, caller="client:me", parameters={"colour": "red"})
        socket = await page.stream(step)
        session = await live(page.up, page.sid)
        info = session.info
        assert (info.id, info.caller, info.called) == (page.call, "client:me", CALLED)
        assert (dict(info.parameters), info.direction) == ({"colour": "red"}, "inbound")
        await socket.send_str(page.wire.media(b"\xff" * 160, 0))
        await socket.send_str(page.wire.dtmf("5"))
        await socket.send_str(page.wire.stop())
        await asyncio.wait_for(session.ended.wait(), 5)
    (journal,) = tmp_path.rglob("journal.jsonl")
    entries = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert [entry["digit"] for entry in entries if entry["entry"] == "key_pressed"] == ["5"]
    assert (entries[-1]["entry"], entries[-1]["reason"]) == ("call_closed", "caller")


async def test_long_names_in_any_script_cost_a_call_neither_its_id_nor_its_phone(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with paging(tmp_path, speech) as page:
        (step,) = await page.place(number="\U0001f600" * 100, caller="\U0001f601" * 100)
        await page.stream(step)
        session = await live(page.up, page.sid)
        assert session.info.id == page.call
        assert session.info.caller.startswith("\U0001f601")
        assert page.up.registry.by_softphone(page.sid)


async def test_a_token_is_good_for_one_stream_of_its_call(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with paging(tmp_path, speech) as page:
        (step,) = await page.place()
        await page.stream(step)
        await live(page.up, page.sid)
        second = await page.stream(step)
        assert (await second.receive()).type is aiohttp.WSMsgType.CLOSE
        other = Page(page.up, page.http)
        (theirs,) = await other.place()
        other.sid = page.sid
        third = await other.stream(theirs)
        assert (await third.receive()).extra == "wrong_call"
        assert counted(page.up, "token_used") == 1


@pytest.mark.parametrize("account", [True, False])
async def test_when_the_agent_hangs_up_no_carrier_is_asked_to(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, monkeypatch: pytest.MonkeyPatch, account: bool
) -> None:
    monkeypatch.setattr("bridge.call.registry._CARRIER_ASKS_WITHIN_S", 0.1)
    async with FakeTwilioRest(ACCOUNT, TOKEN) as rest:
        own = {"BRIDGE_TWILIO__API_URL": rest.url, "BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT} if account else {}
        async with paging(tmp_path, speech, own=own) as page:
            agent.answers.append([Say("Bye."), HangUp()])
            (step,) = await page.place()
            await page.stream(step)
            await (await speech.listener()).say_turn("Bye.")
            await page.played_out()
            await until(lambda: page.sid not in page.up.registry.live)
            await asyncio.sleep(0.3)
            assert await page.next(step) == [{"do": "hang_up"}]
        assert rest.requests == []


async def test_a_transfer_is_told_to_the_page_which_says_how_it_ends(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with paging(tmp_path, speech) as page:
        _, (dial,) = await answered(page, speech, agent, Transfer(DESK))
        assert (dial["do"], dial["to"], dial["ring_s"]) == ("dial", DESK, 30)
        (back,) = await page.next(dial, dial_status="no-answer")
        await page.stream(back)
        (question,) = await until(lambda: asked_about(agent, "transfer.ended"))
        assert (question.transfer.to, question.transfer.status) == (DESK, "no-answer")
        assert page.up.registry.live[page.sid].info.id == page.call


async def test_a_transfer_that_came_about_ends_the_call(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with paging(tmp_path, speech) as page:
        _, (dial,) = await answered(page, speech, agent, Transfer(DESK))
        assert await page.next(dial, dial_status="completed", dial_seconds=42) == [{"do": "hang_up"}]
        await until(lambda: page.sid not in page.up.registry.live)
        (told,) = asked_about(agent, "call.ended")
        found = told.outcome["transfer"]
        assert (found["to"], found["status"], found["duration_s"]) == (DESK, "completed", 42)


async def test_a_warm_transfer_is_a_cold_one_and_nobody_is_rung(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with FakeTwilioRest(ACCOUNT, TOKEN) as rest:
        own = {"BRIDGE_TWILIO__API_URL": rest.url, "BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT}
        async with paging(tmp_path, speech, own=own) as page:
            _, steps = await answered(page, speech, agent, Transfer(DESK, "Somebody with a broken bike."))
            assert [step["do"] for step in steps] == ["dial"]
            await page.next(steps[0], over=True)
            await until(lambda: page.sid not in page.up.registry.live)
        assert rest.requests == []


async def test_keys_of_the_carrier_are_played_by_the_page_before_the_next_stream(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with paging(tmp_path, speech) as page:
        step, steps = await answered(page, speech, agent, SendDigits("12w#", by_carrier=True))
        assert [found["do"] for found in steps] == ["digits", "stream"]
        assert steps[0]["digits"] == "12w#"
        assert await page.next(step) == steps  # Asked again about the same leg.
        await page.stream(steps[1])
        await until(lambda: page.up.registry.live[page.sid].attached)


async def test_an_operator_can_end_a_call_that_a_carrier_would_have_to_end(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with paging(tmp_path, speech) as page:
        _, (dial,) = await answered(page, speech, agent, Transfer(DESK))
        async with page.http.post(f"{page.up.url}/api/v1/calls/{page.call}/hang-up") as answer:
            assert answer.status == 202, await answer.text()
        await until(lambda: page.sid not in page.up.registry.live)
        assert await page.next(dial, dial_status="no-answer") == [{"do": "hang_up"}]


async def test_a_stream_that_broke_is_taken_up_again(speech: ScriptedSpeech, tmp_path: Path, agent: Asked) -> None:
    async with paging(tmp_path, speech) as page:
        (step,) = await page.place()
        socket = await page.stream(step)
        session = await live(page.up, page.sid)
        assert socket._response.connection is not None
        assert socket._response.connection.transport is not None
        socket._response.connection.transport.abort()
        (again,) = await page.next(step)
        await page.stream(again)
        await until(lambda: session.attached)
        assert page.up.registry.live[page.sid] is session
        assert page.up.registry.by_softphone(page.sid)


async def test_a_page_that_leaves_in_the_middle_of_a_transfer_ends_the_call(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with paging(tmp_path, speech) as page:
        _, (dial,) = await answered(page, speech, agent, Transfer(DESK))
        await page.next(dial, over=True)
        await until(lambda: page.sid not in page.up.registry.live)
    (journal,) = tmp_path.rglob("journal.jsonl")
    tried = [json.loads(line) for line in journal.read_text().splitlines() if "transfer_tried" in line]
    assert [entry["status"] for entry in tried] == ["canceled"]


NUMBERS = """
[[numbers]]
number = "+15550100002"
announcement = "This call is recorded."
[[numbers]]
number = "+15550100003"
mode = "log"
forward_to = "+15550100009"
[[numbers]]
number = "+15550100004"
hours = { open = ["daily closed"], closed = "We are closed.", closed_forward_to = "+15550100009" }
"""


async def test_what_there_is_to_call_is_told_and_done(speech: ScriptedSpeech, tmp_path: Path, agent: Asked) -> None:
    (tmp_path / "numbers.toml").write_text(NUMBERS)
    async with paging(tmp_path, speech, config=tmp_path / "numbers.toml") as page:
        async with page.http.get(page.up.url + "/api/v1/softphone") as answer:
            found = await answer.json()
        assert [(one["number"], one["agent"], one["open"]) for one in found["numbers"]] == [
            ("", "python", True),
            (CALLED, "python", True),
            ("+15550100003", "log", True),
            ("+15550100004", "python", False),
        ]
        assert found["reattach_seconds"] == 10
        say, stream = await page.place(number=CALLED)
        assert (say["text"], stream["do"]) == ("This call is recorded.", "stream")
        refused = await page.ask("", {"number": "+15550100003"}, 409)
        assert refused["code"] == "number_connects_people"
        steps = await page.place(number="+15550100004")
        assert [step["do"] for step in steps] == ["say", "dial", "hang_up"]


async def test_what_is_no_request_is_refused_with_a_sentence(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with paging(tmp_path, speech) as page:
        for body in ({"number": "\x00"}, {"parameters": {"token": "mine"}}, {"nonsense": 1}, {"number": 5}):
            assert (await page.ask("", body, 422))["code"] == "invalid"
        assert (await page.ask("/CA1/next", {}, 404))["code"] == "call_unknown"
        assert (await page.ask(f"/CA{'0' * 32}/next", {}, 404))["code"] == "call_unknown"
        await page.place()
        for body in ({"after": "supper"}, {"dial_status": "x"}, {"dial_seconds": -1}):
            assert (await page.ask(f"/{page.sid}/next", body, 422))["code"] == "invalid"
        page.up.registry.draining = True
        assert (await page.ask("", {}, 503))["code"] == "draining"


async def test_the_call_is_of_whoever_asked_for_it(speech: ScriptedSpeech, tmp_path: Path, agent: Asked) -> None:
    tokens = json.dumps(
        [
            {"name": "ann", "token": "a" * 32, "scope": "control"},
            {"name": "bob", "token": "b" * 32, "scope": "control"},
            {"name": "eve", "token": "e" * 32, "scope": "read"},
        ]
    )
    async with paging(tmp_path, speech, own={"BRIDGE_API__TOKENS": tokens}) as page:
        await page.ask("", {}, 401, Authorization="Bearer wrong")
        await page.ask("", {}, 403, Authorization=f"Bearer {'e' * 32}")
        sid = (await page.ask("", {}, 201, Authorization=f"Bearer {'a' * 32}"))["sid"]
        await page.ask(f"/{sid}/next", {}, 404, Authorization=f"Bearer {'b' * 32}")
        await page.ask(f"/{sid}/next", {}, 200, Authorization=f"Bearer {'a' * 32}")


@pytest.mark.parametrize(
    ("origin", "refused"), [("https://evil.example.com", True), ("null", True), ("", False), (None, False)]
)
async def test_pages_of_other_sites_may_not_open_streams(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, origin: str | None, refused: bool
) -> None:
    async with paging(tmp_path, speech) as page:
        headers = {} if origin is None else {"Origin": origin or page.up.url}
        try:
            socket = await page.http.ws_connect(page.up.url + "/twilio/media", headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            assert (refused, error.status) == (True, 403)
            assert counted(page.up, "origin") == 1
        else:
            assert not refused
            await socket.close()
