"""A running bridge under fire: any messages in any order on its real sockets, and a speech service that raves.

Afterwards a good call must still work, the process must be the same, its memory must not have grown, and its log
must tell of no exception that nobody has handled.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from wsproto import WSConnection
from wsproto.events import BytesMessage, CloseConnection, Request, TextMessage
from wsproto.utilities import LocalProtocolError

from bridge.errors import ProtocolError
from bridge.simulator.caller import SimulatedCall
from bridge.simulator.line import CallError, Line
from bridge.simulator.twiml_reader import Connect
from bridge.simulator.verbs import Verb
from bridge.simulator.webhooks import Webhooks
from bridge.tasks import spawn
from tests.bridge_process import TOKEN
from tests.fuzz import seeds
from tests.fuzz.making import as_json
from tests.scripted_speech import Peer, ScriptedSpeech
from tests.soak.process import Look, Process, bridge_process

_MOST_MB: Final = 60
_ODD: Final[tuple[Any, ...]] = (None, True, 0, -1, 10**40, 1e308, "", "\x00", "9" * 500, [], {}, [[]], "a" * 5000)
_ADDRESSES: Final = (
    "/twilio/voice",
    "/twilio/media",
    "/twilio/stream-ended",
    "/twilio/status",
    "/twilio/dial-ended",
    "/api/v1/calls?cursor=",
    "/api/v1/calls?limit=",
    "/",
    "/softphone",
    "/healthz",
    "/%00",
    "/" + "a" * 9000,
)


@dataclass
class Fired:
    """What was thrown at the bridge, and what came of it."""

    streams: int = 0
    messages: int = 0
    requests: int = 0
    raved: int = 0
    """Messages of the speech service that made no sense."""
    looks: list[Look] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def damaged(chance: random.Random, value: Any, depth: int = 0) -> Any:
    """Return a value of which some part may be something else, or missing."""
    if chance.random() < 0.06 * (depth + 1):
        return chance.choice(_ODD)
    if isinstance(value, dict):
        return {key: damaged(chance, inner, depth + 1) for key, inner in value.items() if chance.random() > 0.03}
    return value


class RavingSpeech(ScriptedSpeech):
    """Sends any message at any time while it raves, with the ids of what it was asked for, and breaks off."""

    def __init__(self, chance: random.Random, fired: Fired) -> None:
        super().__init__()
        self.raves = True
        self._chance = chance
        self._fired = fired

    async def _open(self, request: Request, writer: asyncio.StreamWriter, wire: WSConnection) -> Peer | None:
        if self.raves and self._chance.random() < 0.1:
            writer.write(self._chance.randbytes(40))
            writer.transport.abort()
            return None
        peer = await super()._open(request, writer, wire)
        if peer is not None and self.raves:
            task = spawn(self._rave(peer), name="raving speech")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return peer

    async def _rave(self, peer: Peer) -> None:
        chance = self._chance
        messages = seeds.LISTENING if peer.path.startswith("/stt/") else seeds.SPEAKING
        try:
            while self.raves and not peer.writer.is_closing():
                await asyncio.sleep(chance.uniform(0, 0.1))
                message = damaged(chance, chance.choice(messages))
                if isinstance(message, dict) and "context_id" in message and self.spoken:
                    message["context_id"] = chance.choice([*self.spoken])
                data = as_json(message)
                if chance.random() < 0.1:
                    data = data[: chance.randrange(len(data) + 1)]
                self._fired.raved += 1
                text = TextMessage(data.decode("utf-8", "replace"))
                event: Any = BytesMessage(data) if chance.random() < 0.1 else text
                if chance.random() < 0.01:
                    event = CloseConnection(chance.choice([1000, 1001, 1008, 1011, 4000]))
                raw = peer.wire.send(event)
                if chance.random() < 0.02:
                    raw = raw[: chance.randrange(len(raw) + 1)] + chance.randbytes(3)
                peer.writer.write(raw)
                await peer.writer.drain()
        except (ConnectionError, LocalProtocolError):
            return


async def fire(*, seconds: float, seed: int, at_once: int = 20) -> Fired:
    """Fuzz a bridge for so long."""
    fired, chance, begin = Fired(), random.Random(seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fire-") as name:
        async with (
            RavingSpeech(chance, fired).running() as speech,
            bridge_process(Path(name), _settings(speech.url)) as process,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            await _all_fire(process, session, chance, fired, at_once, seconds * 0.2)
            fired.looks.append(await process.look(session))
            await _all_fire(process, session, chance, fired, at_once, seconds * 0.8)
            speech.raves = False
            for peer in [*speech.stt, *speech.tts]:
                peer.drop()
            await _all_over(process, session, fired)
            await _good_call(process, speech, fired)
            fired.looks.append(await process.look(session))
            if process.running.returncode is not None:
                fired.wrong.append(f"the bridge has died with {process.running.returncode}")
        fired.wrong += [f"in the log: {line[:6000]}" for line in process.faults()]
    grown = fired.looks[-1].pss_mb - fired.looks[0].pss_mb
    if grown > _MOST_MB:
        fired.wrong.append(f"{grown:.0f} MB more memory than after the first fifth")
    fired.seconds = time.monotonic() - begin
    return fired


def _settings(speech: str) -> dict[str, str]:
    return {
        "BRIDGE_SPEECH__BASE_URL": speech,
        "BRIDGE_SPEECH__API_KEY": "test",
        "BRIDGE_AGENT__KIND": "echo",
        "BRIDGE_AGENT__GREETING": "Hello there.",
    }


async def _all_fire(
    process: Process,
    session: aiohttp.ClientSession,
    chance: random.Random,
    fired: Fired,
    at_once: int,
    seconds: float,
) -> None:
    until = time.monotonic() + seconds

    async def one(number: int) -> None:
        while time.monotonic() < until:
            what = _raw if number % 4 == 0 else _stream
            with contextlib.suppress(CallError, ProtocolError, aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(20):
                    await what(process, session, chance, fired)

    await asyncio.gather(*(spawn(one(number), name="fire") for number in range(at_once)))


async def _verbs(webhooks: Webhooks, line: Line, sid: str) -> list[Verb]:
    _, verbs = await webhooks.ask(line.origin + line.voice_path, "POST", line.form(sid, "ringing"))
    return verbs


async def _stream(process: Process, session: aiohttp.ClientSession, chance: random.Random, fired: Fired) -> None:
    """Open a media stream as a carrier does, and send any messages in any order."""
    fired.streams += 1
    line, sid = Line(process.url, TOKEN), f"CA{chance.getrandbits(64):032x}"
    webhooks = Webhooks(line, session)
    connect = next((one for one in await _verbs(webhooks, line, sid) if isinstance(one, Connect)), None)
    if connect is None:
        return
    socket = await webhooks.upgrade(connect.stream.url)
    start = {**seeds.TWILIO[1]["start"], "callSid": sid, "customParameters": dict(connect.stream.parameters)}
    opening = [seeds.TWILIO[0], {**seeds.TWILIO[1], "start": start}]
    if chance.random() < 0.2:
        chance.shuffle(opening)
    for message in opening if chance.random() > 0.1 else []:
        await socket.send_str(as_json(message).decode("utf-8", "replace"))
    for _ in range(chance.randrange(60)):
        message = damaged(chance, chance.choice(seeds.TWILIO[2:] if chance.random() < 0.95 else seeds.TWILIO))
        text = as_json(message).decode("utf-8", "replace")
        if chance.random() < 0.05:
            text = text[: chance.randrange(len(text) + 1)]
        fired.messages += 1
        if chance.random() < 0.02:
            await socket.send_bytes(text.encode())
        else:
            await socket.send_str(text)
        await asyncio.sleep(chance.choice((0, 0, 0.02)))
    end = chance.random()
    if end < 0.3 and (transport := socket.get_extra_info("transport")) is not None:
        transport.abort()
    elif end < 0.4 and (transport := socket.get_extra_info("transport")) is not None:
        transport.write(chance.randbytes(30))
        transport.abort()
    else:
        await socket.close(code=chance.choice([1000, 1001, 1011, 3000]))
    with contextlib.suppress(CallError, ProtocolError):
        await webhooks.tell(line.origin + line.status_path, "POST", line.form(sid, "completed"))


async def _raw(process: Process, session: aiohttp.ClientSession, chance: random.Random, fired: Fired) -> None:
    """Send requests that are broken somewhere, forms that are none, and bytes that are no HTTP."""
    del session
    fired.requests += 1
    host, _, port = process.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    body = chance.choice(seeds.FORMS).encode()
    if chance.random() < 0.5:
        body = body[: chance.randrange(len(body))] + chance.randbytes(5)
    size = chance.choice([len(body), len(body), 10**9, -1])
    kind = chance.choice(["application/x-www-form-urlencoded", "application/json", "x", ""])
    upgrade = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        if chance.random() < 0.3
        else ""
    )
    key = f"Sec-WebSocket-Key: {chance.choice(['x', 'dGhlIHNhbXBsZSBub25jZQ=='])}\r\n" if upgrade else ""
    method = chance.choice(["GET", "POST", "PUT", "\x00", "G" * 9000])
    head = (
        f"{method} {chance.choice(_ADDRESSES)} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {size}\r\n{upgrade}{key}X-Twilio-Signature: {chance.choice(['', 'x', 'é'])}\r\n\r\n"
    )
    data = head.encode() + body
    if chance.random() < 0.3:
        at = chance.randrange(len(data))
        data = data[:at] + chance.randbytes(3) + data[at + 1 :]
    with contextlib.suppress(OSError):
        writer.write(data if chance.random() < 0.7 else data[: chance.randrange(len(data))])
        await writer.drain()
        await asyncio.sleep(chance.choice((0, 0.05)))
    writer.transport.abort()


async def _all_over(process: Process, session: aiohttp.ClientSession, fired: Fired) -> None:
    until = time.monotonic() + 40
    while (live := (await process.look(session)).calls) and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    if live:
        fired.wrong.append(f"{live} calls are not over 40 s after the last stream has gone")


async def _good_call(process: Process, speech: RavingSpeech, fired: Fired) -> None:
    """Call as if nothing had been: the greeting is heard, and an answer."""
    number = len(speech.stt)
    try:
        async with asyncio.timeout(40), SimulatedCall(Line(process.url, TOKEN)) as call:
            peer = await speech.listener(number)
            if not await call.wait_for_agent(10, silence_s=0.3, after=0.0):
                fired.wrong.append("no greeting was heard in the good call afterwards")
            begin = call.now
            await peer.say_turn("Say this back")
            if not await call.wait_for_agent(10, silence_s=0.3, after=begin):
                fired.wrong.append("no answer was heard in the good call afterwards")
    except (CallError, TimeoutError) as error:
        fired.wrong.append(f"the good call afterwards failed: {type(error).__name__} {error}")
