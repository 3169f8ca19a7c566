"""Who is at the other ends of a soaked bridge: a speech service and an agent, each with a will of its own."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from aiohttp import web
from wsproto import WSConnection
from wsproto.events import Request

from bridge.tasks import spawn
from tests.scripted_speech import Peer, ScriptedSpeech
from tests.serving import served

_TURNS = (
    "When are you open on Sunday?",
    "Tell me a long story, please.",
    "I want a human, please.",
    "Fail, please.",
    "Keep me waiting, please.",
    "That was all, good-bye.",
    "uh-huh",
    "",
)


class RandomSpeech(ScriptedSpeech):
    """Every caller says something now and then, over the agent too; now and then a connection breaks."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self.turns = 0
        self.broken = 0

    async def _open(self, request: Request, writer: asyncio.StreamWriter, wire: WSConnection) -> Peer | None:
        peer = await super()._open(request, writer, wire)
        if peer is not None and peer.path.startswith("/stt/"):
            self.stt.remove(peer)  # Nobody looks them up, and there will be thousands.
            task = spawn(self._listen(peer), name="random listener")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(self.spoken) > 500:
            self.spoken.clear()
        return peer

    async def _listen(self, peer: Peer) -> None:
        chance = self._random
        try:
            while not peer.writer.is_closing():
                await asyncio.sleep(chance.uniform(0.1, 1.5))
                peer.audio.clear()
                text = chance.choice(_TURNS)
                await peer.turn("start")
                await asyncio.sleep(chance.uniform(0, 0.1))
                if chance.random() < 0.03:
                    self.broken += 1
                    peer.drop()
                    return
                await peer.turn("update", text)
                if chance.random() < 0.3:
                    await peer.turn("eager_end", text)
                    if chance.random() < 0.3:
                        await peer.turn("resume")
                self.turns += 1
                await peer.turn("end", text)
        except Exception:  # noqa: BLE001  whatever a socket says that is closed
            return


class RandomAgent:
    """A webhook agent that does what its caller says."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[RandomAgent]:
        """Serve for the length of the block."""
        app = web.Application()
        app.router.add_post("/", self._handle)
        async with served(app, handler_cancellation=True, shutdown_timeout=0.5, backlog=1024) as url:
            self.url = f"{url}/"
            yield self

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked += 1
        text = str((body.get("turn") or {}).get("transcript", ""))
        if body["type"] in {"call.ended", "silence"}:
            return web.Response(status=204)
        if "Fail" in text:
            return web.Response(status=500)
        if "waiting" in text:
            await asyncio.sleep(5)
        if "human" in text:
            return web.json_response({"actions": [{"type": "transfer", "to": "+15550100009"}]})
        if "good-bye" in text:
            return web.json_response({"actions": [{"say": "Good-bye."}, {"type": "hang_up"}]})
        if "story" in text:
            return web.json_response({"say": " ".join(f"word{number}" for number in range(40))})
        return web.json_response({"say": "We are open from nine to five."})
