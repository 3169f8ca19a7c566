"""`phone-bridge dial` against a running bridge: what it shows, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from bridge.simulator.caller import SimulatedCall
from bridge.simulator.party import Party
from tests.outbound.world import HUMAN, World, true, world


async def start(it: World, *arguments: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "bridge", "dial", *arguments, "--url", it.up.url)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


async def dial(it: World, *arguments: str) -> tuple[int | None, str, str]:
    process = await start(it, *arguments)
    async with asyncio.timeout(30):
        out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def hang_up(leg: SimulatedCall) -> None:
    await leg.pause(0.7)
    await leg.hang_up()


async def test_a_call_is_watched_to_its_end(tmp_path: Path) -> None:
    async with world(tmp_path, BRIDGE_API__TOKEN="right") as it:
        it.party(Party(does=hang_up))
        given = ("--parameter", "name=Jo=e", "--greeting", "Hello Jo!", "--token", "right")
        code, out, errors = await dial(it, HUMAN, *given)
        assert code == 0, errors
        assert out.startswith(f"{HUMAN}: completed, ended by the called person")
        assert f"{HUMAN}: in-progress" in errors.splitlines()
        (path,) = tmp_path.rglob("journal.jsonl")
        assert "Hello Jo!" in path.read_text()


@pytest.mark.parametrize("answer", ["busy", "no-answer", "failed"])
async def test_a_call_that_did_not_come_about_is_a_failure(tmp_path: Path, answer: Any) -> None:
    async with world(tmp_path) as it:
        it.party(Party(answer))
        code, out, _ = await dial(it, HUMAN, "--json")
        assert (code, json.loads(out)["status"]) == (1, answer)


async def test_without_waiting_it_ends_when_the_order_is_taken_and_a_key_orders_once(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.party(Party(after_s=60))
        orders = [await dial(it, HUMAN, "--no-wait", "--json", "--key", "one") for _ in range(2)]
        assert [code for code, _, _ in orders] == [0, 0]
        first, second = (json.loads(out)["id"] for _, out, _ in orders)
        assert first == second
        await it.until(first, "ringing")
        assert len(it.rest.created) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("555",), "error: to: '555' is no phone number"),
        ((HUMAN, "--voicemail", "Hi"), "error: voicemail: a message for answering machines needs"),
        ((HUMAN, "--parameter", "a b=1"), "error: parameters: 'a b' cannot be a name"),
        ((HUMAN, "--parameter", "a"), "error: --parameter is 'a': wanted NAME=VALUE"),
        ((HUMAN, "--token", "wrong"), "error: the bridge wants its API token: give it with --token"),
    ],
)
async def test_what_was_asked_wrongly_gets_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    token = {"BRIDGE_API__TOKEN": "right"} if "wrong" in arguments else {}
    async with world(tmp_path, **token) as it:
        code, out, errors = await dial(it, *arguments)
        assert (code, out) == (2, "")
        assert len(errors.splitlines()) == 1
        assert errors.startswith(said)


async def test_an_interrupt_ends_the_call(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.party(Party(after_s=60))
        process = await start(it, HUMAN)
        await true(lambda: bool(it.rest.placed) and it.rest.placed[0].status == "ringing")
        assert process.stderr is not None
        await process.stderr.readuntil(b"ringing")
        os.kill(process.pid, signal.SIGINT)
        await process.communicate()
        assert process.returncode == 130
        await true(lambda: it.rest.placed[0].status == "canceled")


def test_no_bridge_there_is_told(unused_tcp_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["dial", HUMAN, "--url", f"http://127.0.0.1:{unused_tcp_port}"])
    assert end.value.code == 1
    assert f"no bridge answers at http://127.0.0.1:{unused_tcp_port}" in capsys.readouterr().err
