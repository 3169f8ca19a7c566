"""Many calls through one bridge: what does each live one need, and is the memory flat when they come and go?

`python -m tests.call.churn` holds 1, 50 and 100 calls for some seconds each, then lets 2,000 short ones come and
go, 20 at a time. The bridge is a process of its own, with a scripted speech service and the echo agent; the figures
are those of its private memory, so that libraries which others use as well do not count. Linux only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import click

from bridge.simulator.line import CallError, Line
from bridge.simulator.twiml_reader import Connect
from bridge.simulator.webhooks import Webhooks
from bridge.tasks import spawn
from bridge.twilio import media_stream as wire
from tests.scripted_speech import ScriptedSpeech

_TOKEN = "0123456789abcdef0123456789abcdef"
_FRAME_MS = 100
"""Longer than the carrier's, so that this process can play many phones."""
_SETTLE_S = 3.0


def private_mb(pid: int) -> float:
    """Memory of a process that no other one uses, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"Private_\w+:\s+(\d+) kB", text))) / 1024


async def one_call(session: aiohttp.ClientSession, url: str, number: int, seconds: float) -> None:
    """Call, listen and be heard for a while, press no key, and hang up."""
    line, sid = Line(url, _TOKEN), f"CA{number:032d}"
    webhooks = Webhooks(line, session)
    _, verbs = await webhooks.ask(line.origin + line.voice_path, "POST", line.form(sid, "ringing"))
    connect = next((verb for verb in verbs if isinstance(verb, Connect)), None)
    if connect is None:
        raise CallError("the bridge did not answer with a media stream", code="bridge_answer")
    stream = f"MZ{number:032d}"
    phone = wire.CarrierStream(stream_sid=stream, call_sid=sid, account_sid=line.account_sid)
    socket = await webhooks.upgrade(connect.stream.url)
    marks: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for message in socket:
            match wire.parse_from_bridge(message.data, stream):
                case wire.PlayMark(name):
                    marks.put_nowait(name)
                case _:
                    pass

    listening = spawn(listen(), name="phone")
    try:
        await socket.send_str(phone.connected())
        await socket.send_str(phone.start(connect.stream.parameters))
        for frame in range(round(seconds * 1000 / _FRAME_MS)):
            await socket.send_str(phone.media(b"\x7f" * 8 * _FRAME_MS, frame * _FRAME_MS))
            while not marks.empty():
                await socket.send_str(phone.mark(marks.get_nowait()))
            await asyncio.sleep(_FRAME_MS / 1000)
        await socket.send_str(phone.stop())
        await socket.close()
    finally:
        listening.cancel()


async def talk(speech: ScriptedSpeech, every_s: float) -> None:
    """Let every caller say something now and then, until cancelled; forget who has gone."""
    while True:
        await asyncio.sleep(every_s)
        for peer in [*speech.stt]:
            try:
                await peer.say_turn(" I would like to know when you are open on Sunday.")
            except Exception:  # noqa: BLE001  whatever a socket says that is closed
                speech.stt.remove(peer)
            peer.audio.clear()
        speech.spoken.clear()


@contextlib.asynccontextmanager
async def bridge_process(folder: Path, speech: str) -> AsyncIterator[tuple[int, str]]:
    """Run the command; gives its process id and address."""
    environment = {
        "BRIDGE_SPEECH__BASE_URL": speech,
        "BRIDGE_SPEECH__API_KEY": "test",
        "BRIDGE_AGENT__KIND": "echo",
        "BRIDGE_AGENT__GREETING": "Hello, this is the bridge, and this is its greeting.",
        "BRIDGE_TWILIO__AUTH_TOKEN": _TOKEN,
        "BRIDGE_STORE__RECORDINGS": str(folder / "calls"),
        "BRIDGE_LOG__LEVEL": "error",
        "XDG_STATE_HOME": str(folder / "state"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "serve", "--port", "0"),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        found = re.search(rb"ready at (\S+)", await process.stdout.readline())
        assert found is not None
        yield process.pid, found[1].decode()
    finally:
        process.terminate()
        await process.wait()


async def run(levels: list[int], calls: int, at_once: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        async with (
            ScriptedSpeech().running() as speech,
            bridge_process(Path(name), speech.url) as (pid, url),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            talking = spawn(talk(speech, 2.5), name="talk")
            await asyncio.sleep(_SETTLE_S)
            click.echo(f"idle {private_mb(pid):.1f} MB")
            number = 0
            first: float | None = None
            for level in levels:
                held = [spawn(one_call(session, url, number + one, 20), name="call") for one in range(level)]
                number += level
                await asyncio.sleep(16)
                now = private_mb(pid)
                each = (
                    "" if first is None else f", {(now - first) * 1024 / (level - levels[0]):.0f} KB for each more"
                )
                first = now if first is None else first
                click.echo(f"{level} calls {now:.1f} MB{each}")
                await asyncio.gather(*held)
                await asyncio.sleep(_SETTLE_S)
                click.echo(f"  after them {private_mb(pid):.1f} MB")
            for done in range(0, calls, at_once):
                await asyncio.gather(*(one_call(session, url, number + one, 0.3) for one in range(at_once)))
                number += at_once
                if (done + at_once) % (calls // 4) < at_once:
                    await asyncio.sleep(_SETTLE_S)
                    click.echo(f"{done + at_once} calls later {private_mb(pid):.1f} MB")
            talking.cancel()


@click.command()
@click.option("--levels", default="1,50,100", show_default=True, help="Calls held at once.")
@click.option("--calls", default=2000, show_default=True, help="Short calls that come and go.")
@click.option("--at-once", default=20, show_default=True)
def main(levels: str, calls: int, at_once: int) -> None:
    """Measure a bridge's memory."""
    asyncio.run(run([int(one) for one in levels.split(",")], calls, at_once))


if __name__ == "__main__":
    main()
