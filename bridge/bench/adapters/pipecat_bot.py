"""Pipecat as a system under test. It needs no part of the bridge, and runs with the Python that Pipecat is in:

    python -m venv other && other/bin/pip install "pipecat-ai[websocket,cartesia,openai]==1.14.0" uvicorn
    phone-bridge bench --system command --command "$PWD/other/bin/python $PWD/bridge/bench/adapters/pipecat_bot.py"

It is put together as Pipecat's own examples for Twilio are: serializer, Cartesia's turns and speech, an OpenAI
model; 8000 Hz throughout, so that nothing is resampled, and no voice activity detection, because the turns come
from the service. `--eager` at the command's end lets it answer a turn that has only eagerly ended. What it lacks of
a bridge: signatures, stream tokens, recording, journal, metrics, marks, a greeting.

It sends speech at the pace at which it sounds, so "every speech chunk in → media out" shows that pace and no delay.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.cartesia.turns.stt import CartesiaTurnsSTTService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

RATE = 8000
SPEECH = os.environ["BENCH_SPEECH_URL"].replace("http", "ws", 1)
KEY = "bench"

app = FastAPI()


@app.websocket("/media")
async def media(websocket: WebSocket) -> None:
    """One call, from its stream's beginning to its end."""
    await websocket.accept()
    _, call = await parse_telephony_websocket(websocket)
    serializer = TwilioFrameSerializer(
        stream_sid=call["stream_id"],
        call_sid=call["call_id"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer),
    )
    stt = CartesiaTurnsSTTService(
        api_key=KEY, url=SPEECH + "/stt/turns/websocket", enable_eager_end_of_turn="--eager" in sys.argv
    )
    model = OpenAILLMService(
        api_key=KEY, base_url=os.environ["BENCH_CHAT_URL"], settings=OpenAILLMService.Settings(model="bench")
    )
    tts = CartesiaTTSService(
        api_key=KEY, url=SPEECH + "/tts/websocket", settings=CartesiaTTSService.Settings(voice="bench")
    )
    context = LLMContextAggregatorPair(LLMContext())
    stages = [transport.input(), stt, context.user(), model, tts, transport.output(), context.assistant()]
    worker = PipelineWorker(
        Pipeline(stages), params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE)
    )

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]  # Pipecat is not installed
    async def gone(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def serve() -> None:
    """Take calls until SIGTERM."""
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    with socket.create_server(("127.0.0.1", int(os.environ["BENCH_PORT"])), backlog=1024) as listening:
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, ws_per_message_deflate=False)
        )
        print(f"ready at ws://127.0.0.1:{listening.getsockname()[1]}/media", flush=True)  # noqa: T201
        await server.serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(serve())
