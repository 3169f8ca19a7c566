"""The speech server put together: models, endpoints, listener."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web

from bridge.speech_server.access import Access
from bridge.speech_server.answers import error_middleware
from bridge.speech_server.detectors import Detectors
from bridge.speech_server.settings import ServerSettings
from bridge.speech_server.sockets import OpenSockets
from bridge.speech_server.speaker import Voices
from bridge.speech_server.stt_batch import MAX_FILE_BYTES, SttBatch
from bridge.speech_server.stt_sockets import SttSockets
from bridge.speech_server.tts_http import TtsHttp
from bridge.speech_server.tts_sockets import TtsSockets
from bridge.speech_server.worker import InferencePool

_log = structlog.get_logger()

_STOP_SECONDS = 3.0


class SpeechServer:
    """A running server (`bridge.speech_server.server.RunningServer`)."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._recognizers = InferencePool(
            "recognizer", settings.recognizer, settings.recognizer_model, settings.workers
        )
        # One process speaks for all calls: a second of speech costs it some milliseconds.
        self._voices = InferencePool("voice", settings.voice_engine, settings.voice_model, 1)
        self._detectors = Detectors()
        self._sockets = OpenSockets()
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.port = 0

    async def open(self) -> None:
        """Load, then listen. Cancelling or failing leaves nothing running."""
        try:
            # Detectors run in this process: 4 ms for a second of audio.
            await asyncio.gather(self._recognizers.start(), self._voices.start(), self._detectors.prepare())
            await self._listen(self._application())
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop listening, close the sockets, end the inference processes. May be called twice."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
        await asyncio.gather(self._recognizers.close(), self._voices.close())

    def _application(self) -> web.Application:
        settings = self._settings
        app = web.Application(middlewares=[error_middleware], client_max_size=MAX_FILE_BYTES)
        access = Access(settings.api_key)
        voices = Voices(self._voices, settings.voice)
        listening = SttSockets(
            self._recognizers,
            access,
            self._sockets,
            self._detectors,
            max_streams=settings.streams,
            idle_s=settings.stt_idle_seconds,
        )
        speaking = TtsSockets(
            self._voices,
            voices,
            access,
            self._sockets,
            max_contexts=settings.contexts,
            idle_s=settings.tts_idle_seconds,
        )
        listening.add_to(app)
        SttBatch(self._recognizers, access, listening, max_files=settings.max_files).add_to(app)
        speaking.add_to(app)
        TtsHttp(self._voices, voices, access, speaking.slots).add_to(app)
        app.router.add_get("/healthz", self._health)
        access.add_to(app)
        app.on_shutdown.append(self._say_goodbye)
        return app

    async def _listen(self, app: web.Application) -> None:
        settings = self._settings
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_STOP_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, settings.host, settings.port).start()
        self.port = self._runner.addresses[0][1]
        # Nobody can connect to "every address", so the line for people names one of them.
        everywhere = settings.host in {"", "0.0.0.0", "::"}  # noqa: S104 - a comparison
        host = "127.0.0.1" if everywhere else settings.host
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        _log.info("speech_server_ready", url=self.url, recognizer=settings.recognizer, voice=settings.voice_engine)

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "status": "ok",
                "recognizer": self._recognizers.ready.engine,
                "voice_engine": self._voices.ready.engine,
                "voices": list(self._voices.ready.voices),
            }
        )

    async def _say_goodbye(self, _: web.Application) -> None:
        await self._sockets.close()


async def start_app(settings: ServerSettings) -> SpeechServer:
    """See `bridge.speech_server.server.start`."""
    server = SpeechServer(settings)
    await server.open()
    return server
