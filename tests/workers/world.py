"""A bridge of several processes, started as a user starts it, with a scripted speech service and a carrier."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from bridge.simulator.caller import SimulatedCall
from bridge.simulator.line import Line
from bridge.simulator.rest import FakeTwilioRest
from tests.scripted_speech import ScriptedSpeech

ACCOUNT = "AC" + "1" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
OURS = "+15550100002"


PATIENCE_S = 30.0
"""For what comes in its own time: nothing of it is measured here, and a busy machine takes long."""


class Together:
    """What the tests act on."""

    def __init__(
        self, process: Process, url: str, folder: Path, speech: ScriptedSpeech, rest: FakeTwilioRest
    ) -> None:
        self.process, self.url, self.folder, self.speech, self.rest = process, url, folder, speech, rest
        # Each request on a connection of its own, so that any of the workers may get it.
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))

    def line(self, **options: Any) -> Line:
        return Line(self.url, TOKEN, account_sid=ACCOUNT, **options)

    @contextlib.asynccontextmanager
    async def calls(self, number: int, **options: Any) -> AsyncIterator[list[SimulatedCall]]:
        """So many calls that are live at the same time."""
        async with contextlib.AsyncExitStack() as stack:
            self.rest.line = line = self.line(**options)
            calls = [SimulatedCall(line, exchange=self.rest.exchange) for _ in range(number)]
            for call in calls:
                await stack.enter_async_context(call)
            yield calls

    async def get(self, path: str, **options: Any) -> Any:
        """Ask the API; returns what it answers, which must be a success."""
        async with self.http.get(self.url + path, **options) as response:
            assert response.status == 200, (path, response.status, await response.text())
            return await response.json() if "json" in response.content_type else await response.text()

    async def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        options = {} if body is None else {"json": body}
        async with self.http.post(self.url + path, **options) as response:
            return response.status, await response.json()

    async def live(self, *calls: SimulatedCall) -> list[dict[str, Any]]:
        """Wait until exactly these calls are live for people, and return what they see of each, in this order."""
        wanted = {call.call_sid for call in calls}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = {call["sid"]: call for call in (await self.get("/api/v1/live"))["calls"]}
                if found.keys() == wanted:
                    return [found[call.call_sid] for call in calls]
                await asyncio.sleep(0.02)

    async def kept(self, *calls: SimulatedCall) -> list[dict[str, Any]]:
        """Wait until the database has these calls as ended, and return what it has of them."""
        wanted = {call.call_sid for call in calls}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                items = [
                    one for one in (await self.get("/api/v1/calls?limit=200"))["items"] if one["sid"] in wanted
                ]
                if len(items) >= len(wanted) and all(one["state"] == "ended" for one in items):
                    return items
                await asyncio.sleep(0.05)

    async def heard_by(self, call: SimulatedCall, text: str) -> None:
        """Let the agent of a call say something, by the API, and wait until the caller has heard it."""
        after = call.now
        status, _ = await self.post(f"/api/v1/calls/{call.call_sid}/say", {"text": text})
        assert status == 202
        assert await call.wait_for_agent(10, silence_s=0.2, after=after)

    async def log(self) -> str:
        return await asyncio.to_thread((self.folder / "bridge.log").read_text)

    async def workers(self) -> list[int]:
        """Process ids of the workers, by number."""
        found: dict[int, int] = {}
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in map(int, (await asyncio.to_thread(task.read_text)).split()):
            sockets = await asyncio.to_thread(_sockets_of, pid)
            found |= dict.fromkeys(sockets, pid)
        return [found[number] for number in sorted(found)]


def worker_of(call: SimulatedCall) -> int:
    """The worker that was named to carry the call's last stream."""
    found = re.findall(r"/twilio/media/(\d+)\"", call.twiml[-1].text)
    return int(found[-1])


def _sockets_of(pid: int) -> list[int]:
    inodes = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    mine = [line[7] for line in lines if len(line) > 7 and f"socket:[{line[6]}]" in inodes]
    return [int(found[1]) for path in mine if (found := re.search(r"/(\d+)\.sock$", path))]


@contextlib.asynccontextmanager
async def together(folder: Path, workers: int = 2, **environment: str) -> AsyncIterator[Together]:
    """Bring everything up, for the length of the block."""
    async with contextlib.AsyncExitStack() as stack:
        speech = await stack.enter_async_context(ScriptedSpeech().running())
        rest = await stack.enter_async_context(FakeTwilioRest(ACCOUNT, TOKEN))
        process, url = await start(
            folder,
            "--workers",
            str(workers),
            BRIDGE_SPEECH__BASE_URL=speech.url,
            BRIDGE_SPEECH__API_KEY="sk_test",
            BRIDGE_TWILIO__ACCOUNT_SID=ACCOUNT,
            BRIDGE_TWILIO__AUTH_TOKEN=TOKEN,
            BRIDGE_TWILIO__API_URL=rest.url,
            BRIDGE_AGENT__KIND="echo",
            BRIDGE_OUTBOUND__FROM_NUMBER=OURS,
            BRIDGE_OUTBOUND__CALLS_PER_SECOND="50",
            BRIDGE_API__REQUESTS_PER_SECOND="10000",
            **environment,
        )
        stack.push_async_callback(stop, process)
        up = Together(process, url, folder, speech, rest)
        stack.push_async_callback(up.http.close)
        rest.line = up.line()
        yield up


async def start(folder: Path, *arguments: str, **environment: str) -> tuple[Process, str]:
    """Run `phone-bridge serve` in a folder; returns the process and where it answers."""
    log = await asyncio.to_thread((folder / "bridge.log").open, "wb")
    with log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "serve", "--port", "0", *arguments),
            cwd=folder,
            env={**os.environ, **environment},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(40):
            line = (await process.stdout.readline()).decode()
        found = re.fullmatch(r"phone-bridge is ready at (\S+)\n", line)
        assert found, await asyncio.to_thread((folder / "bridge.log").read_text)
    except BaseException:
        # Nobody else knows of it, and what is left running makes the next try slower still.
        await stop(process)
        raise
    return process, found[1]


async def stop(process: Process, number: signal.Signals = signal.SIGTERM) -> int:
    """Tell a bridge to stop, and return its exit code."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    async with asyncio.timeout(30):
        return await process.wait()


async def until(holds: Callable[[], Any]) -> Any:
    """Wait for what nobody is told of, and return it."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := holds()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # Nobody is told when it is there.
    return found


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what has to be asked for."""
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():  # noqa: ASYNC110  As above.
            await asyncio.sleep(0.02)


def start_message(sid: str, token: str) -> str:
    return json.dumps(
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": "MZ1",
            "start": {
                "streamSid": "MZ1",
                "accountSid": ACCOUNT,
                "callSid": sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {"token": token},
            },
        }
    )
