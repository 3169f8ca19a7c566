"""A hotel's desk, as its author wrote it for Twilio's ConversationRelay: aiohttp, and nothing of the bridge.

Answers are streamed word by word; an interruption stops them and closes the talk cycle.
"""

from __future__ import annotations

import asyncio
import io
import json
import wave
from typing import Any

from aiohttp import web
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # the library has no types

ANSWERS = {
    "room": "Yes, room twelve is free, and so is room fourteen on the quiet side of the house.",
    "key": "Please key in your four digit code.",
    "french": "D'accord, parlons français.",
}


class Desk:
    """One caller at the desk."""

    def __init__(self, socket: web.WebSocketResponse, log: list[dict[str, Any]], bell: str) -> None:
        self.socket = socket
        self.bell = bell
        self.log = log
        self.code = ""
        self.streaming: asyncio.Task[None] | None = None

    async def send(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def stream(self, words: str) -> None:
        for word in words.split(" "):
            await self.send(type="text", token=word + " ", last=False)
            await asyncio.sleep(0)
        await self.send(type="text", token="", last=True)

    def answer(self, words: str) -> None:
        self.streaming = asyncio.get_running_loop().create_task(self.stream(words))

    async def on_prompt(self, said: str) -> None:
        if "person" in said:
            await self.send(type="text", token="I'll get somebody.", last=True)
            await self.send(type="end", handoffData=json.dumps({"reason": "wants a person"}))
        elif "French" in said:
            await self.send(type="language", ttsLanguage="fr-FR", transcriptionLanguage="fr-FR")
            await self.send(type="text", token=ANSWERS["french"], last=True, lang="fr-FR")
        elif "key" in said:
            await self.send(type="text", token=ANSWERS["key"], last=True, interruptible=False)
            await self.send(type="play", source=self.bell, interruptible=False)
        elif "mumble" in said:
            await self.send(type="shout", text="no such type")
            await self.send(type="text", token="Pardon?", last=True)
        else:
            self.answer(ANSWERS["room"])

    async def on_message(self, message: dict[str, Any]) -> None:
        self.log.append(message)
        match message["type"]:
            case "prompt" if message["last"]:
                await self.on_prompt(message["voicePrompt"])
            case "interrupt":
                if self.streaming is not None and not self.streaming.done():
                    self.streaming.cancel()
                    await self.send(type="text", token="", last=True)
            case "dtmf":
                self.code += message["digit"]
                if len(self.code) == 4:
                    await self.send(type="text", token=f"Thank you, {' '.join(self.code)}.", last=True)
                    await self.send(type="sendDigits", digits="1w2#")


def hotel(
    auth_token: str, log: list[dict[str, Any]], closed: list[int | None], *, bell: str = ""
) -> web.Application:
    """The app; `log` gets every message of Twilio's, `closed` the code of every socket's end.

    `bell` is where the sound of the bell is; empty: the app has one of its own.
    """
    validator = RequestValidator(auth_token)

    async def relay(request: web.Request) -> web.StreamResponse:
        # The author runs it without a proxy: the host of the request is the one that Twilio was told.
        url = f"ws://{request.host}{request.path_qs}"
        if not validator.validate(url, {}, request.headers.get("X-Twilio-Signature", "")):
            return web.Response(status=403)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        desk = Desk(socket, log, bell or f"http://{request.host}/bell.wav")
        async for message in socket:
            await desk.on_message(json.loads(message.data))
        closed.append(socket.close_code)
        return socket

    async def ring(request: web.Request) -> web.Response:
        sound = io.BytesIO()
        with wave.open(sound, "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(3200))
        return web.Response(body=sound.getvalue(), content_type="audio/wav")

    app = web.Application()
    app.router.add_get("/relay", relay)
    app.router.add_get("/bell.wav", ring)
    return app
