"""Whole calls with card numbers, spoken and keyed: what is kept of them, wherever it is kept, holds none.

The callers' sound is another matter: a recording holds what was said.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.call.trace import replay
from bridge.conversation.actions import GatherDigits, Note, Say
from bridge.log import configure_logging
from bridge.settings import Settings
from bridge.settings.record import PrivacySettings
from bridge.settings.sections import LogSettings
from bridge.simulator.caller import SimulatedCall
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import PYTHON, Asked, agent, bridge, kept, line, speech

__all__ = ["agent", "speech"]


CARD = "4539148803436467"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPOKEN = " ".join(WORDS[int(digit)] for digit in CARD)
PAIRS = "forty-five thirty-nine fourteen eighty-eight oh three forty-three sixty-four sixty-seven"
GROUPS = "4539 1488 0343 6467"
DOUBLED = "four five three nine one four double eight oh three four three six four six seven"
TENS = {"thirty": "3", "forty": "4", "sixty": "6", "eighty": "8"}
FORMS = {"plain": CARD, "groups": GROUPS, "spoken": SPOKEN, "doubled": DOUBLED, "pairs": PAIRS}
LEAST = 8
"""So many digits of the number in a row are too many."""


@pytest.fixture
def logs() -> io.StringIO:
    """Everything that is logged, as `serve` would."""
    stream = io.StringIO()
    configure_logging(Settings(log=LogSettings(format="json", level="debug")), stream=stream)
    return stream


def leaks(text: str) -> list[str]:
    """Which parts of the card number stand in a text, written or spoken."""
    text = text.lower()
    for word, digits in {
        "oh": "0",
        "forty": "4",
        "thirty": "3",
        "sixty": "6",
        "eighty": "8",
        "fourteen": "14",
    }.items():
        text = re.sub(rf"\b{word}\b", digits, text)
    for digit, word in enumerate(WORDS):
        text = re.sub(rf"\b{word}\b", str(digit), text)
    bare = re.sub(r"double\s+(\d)", r"\1\1", text)
    bare = re.sub(r"[^0-9a-z]", "", bare)
    return [CARD[at : at + LEAST] for at in range(len(CARD) - LEAST + 1) if CARD[at : at + LEAST] in bare]


@pytest.mark.parametrize(
    "form", [CARD, GROUPS, SPOKEN, DOUBLED, PAIRS, "Four five three nine, 1488, 0343 64 six 7."]
)
def test_every_form_would_be_found(form: str) -> None:
    assert leaks(f'{{"transcript":"It is {form}, thanks"}}')


async def files(folder: Path) -> dict[str, bytes]:
    def read() -> dict[str, bytes]:
        found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".wav"]
        return {path.name: path.read_bytes() for path in found}

    return await asyncio.to_thread(read)


async def nothing_leaks(folder: Path, logs: io.StringIO) -> dict[str, bytes]:
    """Put the calls into the database, and look through all there is. Returns the files."""
    database = Database("", folder)
    await Keeper(database, folder).catch_up()
    await database.close()
    everything = await files(folder)
    assert {"journal.jsonl", "trace.jsonl", "transcript.txt", "transcript.json", "timeline.svg"} <= {*everything}
    assert "calls.db" in everything
    for name, content in everything.items():
        assert leaks(content.decode("utf-8", "replace")) == [], name
    assert [text for text in logs.getvalue().splitlines() if leaks(text)] == []
    assert leaks(logs.getvalue()) == []
    assert "caller_spoke" in logs.getvalue()  # with the words
    return everything


async def turn(peer: Any, text: str) -> None:
    """Say a turn as it is recognised: word by word."""
    await peer.turn("start")
    words = text.split(" ")
    for number in range(1, len(words) + 1):
        await peer.turn("update", " ".join(words[:number]))
    await peer.turn("eager_end", text)
    await peer.turn("end", text)


@pytest.mark.parametrize("form", (GROUPS, SPOKEN, PAIRS), ids=("groups", "spoken", "pairs"))
async def test_a_number_that_is_said_and_read_back(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, logs: io.StringIO, form: str
) -> None:
    said = f" My card is {form}, thanks. "
    agent.answers = [[Say("I have "), Say(form), Say(". Is that right?"), Note({"card": CARD, "n": int(CARD)})]]
    async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
        await turn(await speech.listener(), said)
        assert await call.wait_for_agent(15, silence_s=1.0)
        await call.hang_up()
        journal = await kept(up, call, tmp_path)
    # The agent was told the real words, and the voice was given them.
    assert [question.transcript for question in agent if question.occasion == "turn.ended"] == [said]
    assert form in "".join(speech.spoken.values())
    heard = [entry["transcript"] for entry in journal if entry["entry"] == "caller_spoke"]
    assert heard == [" My card is [card number], thanks. "]
    replies = "".join(entry["heard"] for entry in journal if entry["entry"] == "agent_spoke")
    assert replies == "I have [card number]. Is that right?"
    (note,) = [entry["data"] for entry in journal if entry["entry"] == "note_taken"]
    assert note == {"card": "[card number]", "n": "[card number]"}
    everything = await nothing_leaks(tmp_path, logs)
    steps, difference = replay(everything["trace.jsonl"], name="trace")
    assert (steps > 10, difference) == (True, None)


async def test_a_number_in_pieces_over_several_turns_and_cut_off_when_read_back(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, logs: io.StringIO
) -> None:
    agent.answers = [
        [Say("Go on.")],
        [Say("I have 4539 1488, go on.")],
        [Say("Go on.")],
        [Say("So it is 4 5 3 9 1 4 8 8 0 3 4 3 6 4 6 7, and then a lot of words that are never heard at all.")],
    ]
    async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
        peer = await speech.listener()
        for piece in ("four five three nine", "one four double eight", "oh three four three"):
            await turn(peer, piece)
            assert await call.wait_for_agent(15, silence_s=0.5)
        await turn(peer, "6467.")
        assert await call.wait_agent_speaking(10) is not None
        await asyncio.sleep(1.0)
        await turn(peer, "Yes.")
        await call.hang_up()
        journal = await kept(up, call, tmp_path)
    heard = [entry["transcript"] for entry in journal if entry["entry"] == "caller_spoke"]
    # Of the first piece nobody could know; four digits say little.
    assert heard[:4] == ["four five three nine", "[card number]", "[card number]", "[card number]."]
    await nothing_leaks(tmp_path, logs)


@pytest.mark.parametrize("gathered", [True, False])
async def test_a_number_that_is_keyed(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, logs: io.StringIO, gathered: bool
) -> None:
    agent.answers = [[Say("Your card number."), *([GatherDigits(length=16)] if gathered else [])]]
    async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
        await turn(await speech.listener(), "I want to pay")
        assert await call.wait_for_agent(15, silence_s=0.5)
        await call.digits(CARD)
        async with asyncio.timeout(10):
            while not any(question.occasion == "digits" for question in agent):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # Nobody is told when it is there.
        await asyncio.sleep(0.2)
        await call.hang_up()
        journal = await kept(up, call, tmp_path)
    assert CARD.startswith("".join(q.digits for q in agent if q.occasion == "digits")[:4])
    keys = "".join(entry["digit"] for entry in journal if entry["entry"] == "key_pressed")
    assert keys == CARD[:6] + "?" * 10
    if gathered:
        assert [q.digits for q in agent if q.occasion == "digits"] == [CARD]
        (whole,) = [entry for entry in journal if entry["entry"] == "digits_gathered"]
        assert (whole["digits"], whole["count"], whole["masked"]) == ("", 16, True)
    everything = await nothing_leaks(tmp_path, logs)
    pressed = re.findall(rb'"is":"DigitPressed","digit":"(.)"', everything["trace.jsonl"])
    assert pressed == [b"0"] * 16
    assert replay(everything["trace.jsonl"], name="trace")[1] is None


@asynccontextmanager
async def webhook() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """An agent that takes everything but the end of a call."""
    asked: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        asked.append(body)
        if body["type"] == "call.ended":
            return web.Response(status=400)
        return web.json_response({"say": f"I have {GROUPS}."} if body["type"] == "turn.ended" else {})

    app = web.Application()
    app.router.add_post("/", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/")), asked


async def test_the_end_of_a_call_that_waits_for_its_agent(
    speech: ScriptedSpeech, tmp_path: Path, logs: io.StringIO
) -> None:
    async with webhook() as (url, asked):
        more = {"BRIDGE_AGENT__KIND": "webhook", "BRIDGE_AGENT__URL": url}
        more["BRIDGE_AGENT__UNDELIVERED"] = str(tmp_path / "undelivered")
        async with bridge(tmp_path / "calls", speech.url, **more) as up, SimulatedCall(line(up)) as call:
            await turn(await speech.listener(), SPOKEN)
            assert await call.wait_for_agent(15, silence_s=1.0)
            await call.hang_up()
            await kept(up, call, tmp_path)
    # What was posted at once has the real words; what waits has not.
    assert SPOKEN in json.dumps(asked)
    (waiting,) = (await files(tmp_path / "undelivered")).values()
    assert leaks(waiting.decode()) == []
    ended = json.loads(json.loads(waiting)["body"])
    assert [message["content"] for message in ended["messages"]] == ["[card number]", "I have [card number]."]
    assert ended["call"]["from"] == asked[0]["call"]["from"]
    await nothing_leaks(tmp_path / "calls", logs)


async def test_nothing_is_struck_out_where_nothing_is_to_be(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    agent.answers = [[Say(f"I have {GROUPS}.")]]
    more = {**PYTHON, "BRIDGE_PRIVACY__REDACT": "[]"}
    async with bridge(tmp_path, speech.url, **more) as up, SimulatedCall(line(up)) as call:
        await turn(await speech.listener(), SPOKEN)
        assert await call.wait_for_agent(15, silence_s=1.0)
        await call.digits("12")
        await call.hang_up()
        journal = await kept(up, call, tmp_path)
    assert next(entry for entry in journal if entry["entry"] == "caller_spoke")["transcript"] == SPOKEN
    everything = await files(tmp_path)
    assert SPOKEN.encode() in everything["trace.jsonl"]
    assert replay(everything["trace.jsonl"], name="trace")[1] is None


def test_settings_say_what_is_struck_out() -> None:
    assert PrivacySettings().redact == ("card",)
