"""Cartesia's own Python SDK as the client."""

from __future__ import annotations

import io

from cartesia import AsyncCartesia

from tests.speech_server.clients import seconds_of_silence

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"


def client(url: str) -> AsyncCartesia:
    return AsyncCartesia(api_key="sk_any", base_url=url, websocket_base_url=url.replace("http", "ws"))


def letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalpha() or letter == " ").strip()


async def test_stt_with_turns(server_url: str, sentence: bytes) -> None:
    async with (
        client(server_url) as sdk,
        sdk.stt.auto_finalize.websocket(model="ink-2", encoding="pcm_mulaw", sample_rate=8000) as connection,
    ):
        audio = sentence + seconds_of_silence(1.2)
        for at in range(0, len(audio), 800):
            await connection.send_raw(audio[at : at + 800])
        await connection.send({"type": "close"})
        events = [event async for event in connection]
    assert [event.type for event in events[:2]] == ["connected", "turn.start"]
    assert events[-1].type == "turn.end"
    assert letters(events[-1].transcript) == "it was the age of foolishness"


async def test_stt_with_finalize(server_url: str, sentence: bytes) -> None:
    text, kinds = "", []
    async with (
        client(server_url) as sdk,
        sdk.stt.manual_finalize.websocket(model="ink-2", encoding="pcm_mulaw", sample_rate=8000) as connection,
    ):
        for _ in range(2):
            await connection.send_raw(sentence)
            await connection.send("finalize")
        await connection.send("close")
        async for event in connection:
            kinds.append(event.type)
            if event.type == "transcript" and event.is_final:
                text += event.text
    assert letters(text) == "it was the age of foolishness it was the age of foolishness"
    assert kinds.count("flush_done") == 2
    assert kinds[-1] == "done"


async def test_a_tts_context_streamed(server_url: str) -> None:
    async with client(server_url) as sdk, sdk.tts.websocket_connect() as connection:
        context = connection.context(
            model_id="sonic-3",
            voice={"id": VOICE},
            output_format={"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
        )
        for piece in ("Sure, ", "here it is. ", "Anything else?"):
            await context.push(piece)
        await context.no_more_inputs()
        audio, kinds = b"", []
        async for event in context.receive():
            kinds.append(event.type)
            if event.type == "chunk" and event.audio:
                audio += event.audio
    assert kinds[-1] == "done"
    assert 1 < len(audio) / 8000 < 5


async def test_a_context_is_cancelled_and_the_next_one_speaks(server_url: str) -> None:
    async with client(server_url) as sdk, sdk.tts.websocket_connect() as connection:
        for text, cancelled in (("This is a long story. " * 20, True), ("Sorry?", False)):
            context = connection.context(
                model_id="sonic-3",
                voice={"id": VOICE},
                output_format={"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
            )
            await context.push(text)
            await context.no_more_inputs()
            kinds = []
            async for event in context.receive():
                kinds.append(event.type)
                if cancelled:
                    # A reader of the SDK that is left running after this would wait for ever.
                    await context.cancel()
                    break
    assert kinds[-1] == "done"


async def test_generate_then_transcribe(server_url: str) -> None:
    async with client(server_url) as sdk:
        response = await sdk.tts.generate(
            model_id="sonic-3",
            transcript="We are open from nine in the morning.",
            voice={"id": VOICE},
            output_format={"container": "wav", "encoding": "pcm_f32le", "sample_rate": 44100},
        )
        spoken = await response.read()
        answer = await sdk.stt.transcribe(
            file=("a.wav", io.BytesIO(spoken)), model="ink-whisper", timestamp_granularities=["word"]
        )
    assert "morning" in answer.text
    assert answer.words is not None
    assert [word.word for word in answer.words] == answer.text.split()


async def test_server_sent_speech(server_url: str) -> None:
    async with client(server_url) as sdk:
        stream = await sdk.tts.generate_sse(
            model_id="sonic-3",
            transcript="Good morning.",
            voice={"id": VOICE},
            output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
        )
        kinds = [event.type async for event in stream]
    assert kinds[0] == "chunk"
    assert kinds[-1] == "done"
