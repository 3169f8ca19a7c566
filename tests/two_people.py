"""Twilio's end of a call between two people: the webhooks, and one media stream with both tracks.

Written on aiohttp and from the protocol alone, so that it shares nothing with the bridge but the signatures.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp

from bridge.twilio.signature import sign

FRAME = 160
SILENCE = b"\xff"


class TwoPeople:
    """A call of somebody to a number of the bridge, which connects them with somebody else."""

    def __init__(self, url: str, auth_token: str, http: aiohttp.ClientSession, sid: str, called: str) -> None:
        self.sid = sid
        self.form = {"CallSid": sid, "From": "+15550100001", "To": called, "Direction": "inbound"}
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self.came: list[Any] = []
        """What the bridge sent on the stream: nothing, as it should be."""
        self._url, self._token, self._http = url, auth_token, http
        self._sequence = 1
        self._chunks = {"inbound": 0, "outbound": 0}
        self._timestamp_ms = 0

    async def ask(self, path: str, **more: str) -> ET.Element:
        """Post a signed form and return the document that is answered."""
        form = {**self.form, **more}
        headers = {"X-Twilio-Signature": sign(self._token, self._url + path, [*form.items()])}
        async with self._http.post(self._url + path, data=form, headers=headers) as response:
            assert response.status == 200, await response.text()
            return ET.fromstring(await response.text())

    async def begin(self, document: ET.Element | None = None) -> ET.Element:
        """Let the call come in, and open the stream that its document wants. Returns the document."""
        if document is None:
            document = await self.ask("/twilio/voice", CallStatus="ringing")
        (stream,) = document.iter("Stream")
        parameters = {one.attrib["name"]: one.attrib["value"] for one in stream}
        await self.stream(stream.attrib["url"], parameters)
        return document

    async def stream(self, url: str, parameters: dict[str, str]) -> None:
        """Open a media stream with both tracks."""
        self.socket = await self._http.ws_connect(url)
        start = {
            "streamSid": "MZ1",
            "accountSid": "AC1",
            "callSid": self.sid,
            "tracks": ["inbound", "outbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": parameters,
        }
        await self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        await self._send({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": start})

    async def talk(self, inbound: bytes, outbound: bytes) -> None:
        """Let both sides sound side by side, in real time; the shorter one is silent at its end."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        length = max(len(inbound), len(outbound))
        for number, at in enumerate(range(0, length, FRAME)):
            await self.frame("inbound", inbound[at : at + FRAME].ljust(FRAME, SILENCE))
            await self.frame("outbound", outbound[at : at + FRAME].ljust(FRAME, SILENCE))
            self._timestamp_ms += 20
            await asyncio.sleep(began + (number + 1) * 0.02 - loop.time())

    async def frame(self, track: str, audio: bytes) -> None:
        """Send one frame of one track."""
        self._sequence += 1
        self._chunks[track] += 1
        media = {
            "track": track,
            "chunk": str(self._chunks[track]),
            "timestamp": str(self._timestamp_ms),
            "payload": base64.b64encode(audio).decode(),
        }
        head = {"event": "media", "sequenceNumber": str(self._sequence), "streamSid": "MZ1"}
        await self._send({**head, "media": media})

    async def hang_up(self) -> None:
        """End the call: the stream says so, and goes."""
        assert self.socket is not None
        stop = {"accountSid": "AC1", "callSid": self.sid}
        await self._send({"event": "stop", "sequenceNumber": "9999", "streamSid": "MZ1", "stop": stop})
        async for message in self.socket:
            self.came.append(message.data)

    async def _send(self, message: dict[str, Any]) -> None:
        assert self.socket is not None
        await self.socket.send_str(json.dumps(message))


@contextlib.asynccontextmanager
async def two_people(
    url: str, auth_token: str, *, called: str, sid: str = "CA" + "7" * 32
) -> AsyncIterator[TwoPeople]:
    """A call that can begin; its socket is closed at the end of the block."""
    async with aiohttp.ClientSession() as http:
        call = TwoPeople(url, auth_token, http, sid, called)
        try:
            yield call
        finally:
            if call.socket is not None:
                await call.socket.close()
