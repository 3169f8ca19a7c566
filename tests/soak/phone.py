"""One caller of a soak: comes, listens, presses keys, and leaves in one of the ways in which callers leave."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from typing import Final

import aiohttp

from bridge.errors import ProtocolError
from bridge.simulator.line import CallError, Line
from bridge.simulator.twiml_reader import Connect, Dial
from bridge.simulator.verbs import Verb
from bridge.simulator.webhooks import Webhooks
from bridge.tasks import spawn
from bridge.twilio import media_stream as wire

_FRAME_MS: Final = 100
"""Longer than the carrier's, so that one process can play many phones."""
_RUBBISH: Final = ("", "{", '{"event":"media"}', '{"event":"what"}', '{"event":"mark","mark":{"name":"9.9"}}')

WAYS: Final = ("hangs up", "hangs up at once", "never streams", "vanishes", "comes back", "sends rubbish")
"""What a caller does in the end."""


class Caller:
    """One call with a number of its own."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, token: str, number: int, chance: random.Random
    ) -> None:
        self._line = Line(url, token)
        self._webhooks = Webhooks(self._line, session)
        self._sid = f"CA{number:032d}"
        self._number = number
        self._chance = chance
        self._streams = 0
        self.seen: Counter[str] = Counter()

    async def call(self, longest_s: float) -> None:
        """Do it all. Raises `CallError` where the bridge does not answer as it should."""
        way = self._chance.choice(WAYS)
        self.seen[way] += 1
        verbs = await self._ask(self._line.voice_path, "ringing")
        if way == "never streams":
            await self._completed()
            return
        again = way == "comes back"
        while (connect := next((verb for verb in verbs if isinstance(verb, Connect)), None)) is not None:
            seconds = 0.0 if way == "hangs up at once" else self._chance.uniform(0.2, longest_s)
            left = await self._stream(connect, seconds, way)
            if left and not again:
                break
            again = False
            verbs = await self._ask(connect.action, "in-progress")
            if any(isinstance(verb, Dial) for verb in verbs):
                self.seen["is transferred"] += 1
                dial = next(verb for verb in verbs if isinstance(verb, Dial))
                verbs = await self._ask(dial.action, "in-progress", DialCallStatus="busy")
        await self._completed()

    async def _ask(self, path: str, status: str, **more: str) -> list[Verb]:
        url = self._webhooks.absolute(path, self._line.origin + "/")
        _, verbs = await self._webhooks.ask(url, "POST", self._line.form(self._sid, status, **more))
        return verbs

    async def _completed(self) -> None:
        with contextlib.suppress(CallError, ProtocolError):
            await self._webhooks.tell(
                self._line.origin + self._line.status_path, "POST", self._line.form(self._sid, "completed")
            )

    async def _stream(self, connect: Connect, seconds: float, way: str) -> bool:
        """Be on the phone for so long; returns whether it was the caller who ended the stream."""
        self._streams += 1
        stream = f"MZ{self._number:028d}{self._streams:04d}"
        phone = wire.CarrierStream(stream_sid=stream, call_sid=self._sid, account_sid=self._line.account_sid)
        socket = await self._webhooks.upgrade(connect.stream.url)
        marks: asyncio.Queue[str] = asyncio.Queue()
        listening = spawn(self._listen(socket, stream, marks), name="soaking phone")
        try:
            await socket.send_str(phone.connected())
            await socket.send_str(phone.start(connect.stream.parameters))
            for frame in range(round(seconds * 1000 / _FRAME_MS)):
                if listening.done():
                    return False
                await socket.send_str(phone.media(b"\x7f" * 8 * _FRAME_MS, frame * _FRAME_MS))
                while not marks.empty():
                    await socket.send_str(phone.mark(marks.get_nowait()))
                if self._chance.random() < 0.02:
                    await socket.send_str(phone.dtmf(self._chance.choice("0123456789*#")))
                if way == "sends rubbish" and self._chance.random() < 0.2:
                    await socket.send_str(self._chance.choice(_RUBBISH))
                await asyncio.sleep(_FRAME_MS / 1000)
            if way in {"vanishes", "comes back"} and (transport := socket.get_extra_info("transport")) is not None:
                transport.abort()
                return True
            await socket.send_str(phone.stop())
            await socket.close()
        except ConnectionError:
            return False
        else:
            return True
        finally:
            listening.cancel()

    async def _listen(
        self, socket: aiohttp.ClientWebSocketResponse, stream: str, marks: asyncio.Queue[str]
    ) -> None:
        async for message in socket:
            match wire.parse_from_bridge(message.data, stream):
                case wire.PlayMark(name):
                    marks.put_nowait(name)
                case wire.Invalid(_, reason):
                    self.seen[f"the bridge sent what is invalid: {reason}"] += 1
                case _:
                    pass
