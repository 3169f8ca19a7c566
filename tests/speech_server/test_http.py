"""Files in, files out, keys and limits."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.audio import codec, wav

TEXT = "We are open from nine in the morning until six in the evening."
WAV = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 16000}


def body(transcript: str = TEXT, **fields: Any) -> dict[str, Any]:
    return {"model_id": "sonic-3", "transcript": transcript, "voice": "en-US", "output_format": WAV, **fields}


def form(file: bytes, name: str = "call.wav", **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field("file", io.BytesIO(file), filename=name)
    for key, value in {"model": "ink-whisper", **fields}.items():
        data.add_field(key, value)
    return data


async def post(url: str, **arguments: Any) -> tuple[int, Any, bytes]:
    async with aiohttp.ClientSession() as session, session.post(url, **arguments) as response:
        content = await response.read()
        parsed = json.loads(content) if response.content_type == "application/json" else None
        return response.status, parsed, content


async def test_what_is_spoken_is_understood(server_url: str) -> None:
    status, _, spoken = await post(f"{server_url}/tts/bytes", json=body())
    assert status == 200
    recording = wav.parse(spoken, name="answer")
    assert (recording.sample_rate, recording.bits, recording.channels) == (16000, 16, 1)
    status, answer, _ = await post(f"{server_url}/stt", data=form(spoken, language="en"))
    assert status == 200
    assert "open" in answer["text"]
    assert "morning" in answer["text"]
    assert answer["duration"] == pytest.approx(recording.seconds, abs=0.01)
    assert "words" not in answer


async def test_word_times_of_a_file(server_url: str, assets: Path) -> None:
    file = (assets / "beckett.wav").read_bytes()
    fields = {"timestamp_granularities[]": "word"}
    _, answer, _ = await post(f"{server_url}/stt", data=form(file, **fields))
    words = answer["words"]
    assert [word["word"] for word in words] == answer["text"].split()
    assert answer["text"].startswith("Ever")
    edges = [edge for word in words for edge in (word["start"], word["end"])]
    assert edges == sorted(edges)
    assert 8 < edges[-1] < answer["duration"] < 10


async def test_headerless_audio(server_url: str, sentence: bytes) -> None:
    query = "encoding=pcm_mulaw&sample_rate=8000"
    _, answer, _ = await post(f"{server_url}/stt?{query}", data=form(sentence, "call.ulaw"))
    assert answer["text"].lower().strip(".,") == "it was the age of foolishness"


async def test_wavs_of_every_format_that_is_made_here(server_url: str) -> None:
    for encoding in ("pcm_f32le", "pcm_mulaw", "pcm_alaw"):
        wanted = {**WAV, "encoding": encoding, "sample_rate": 22050}
        _, _, spoken = await post(f"{server_url}/tts/bytes", json=body(output_format=wanted))
        assert struct.unpack("<I", spoken[4:8])[0] == len(spoken) - 8
        _, answer, _ = await post(f"{server_url}/stt", data=form(spoken))
        assert "morning" in answer["text"], encoding


@pytest.mark.parametrize("file", [b"", b"RIFF", b"ID3\x03" + bytes(100), b"\xff\xfb\x90" * 50, bytes(44)])
async def test_files_that_cannot_be_read(server_url: str, file: bytes) -> None:
    status, answer, _ = await post(f"{server_url}/stt", data=form(file, "x.mp3"))
    assert status == 400
    assert answer["error_code"] == "unsupported_file"


async def test_requests_without_a_file(server_url: str) -> None:
    status, answer, _ = await post(f"{server_url}/stt", data=aiohttp.FormData({"model": "ink-whisper", "x": "y"}))
    assert (status, "multipart" in answer["message"]) == (400, True)
    with aiohttp.MultipartWriter("form-data") as writer:
        writer.append("x").set_content_disposition("form-data", name="model")
    status, answer, _ = await post(f"{server_url}/stt", data=writer)
    assert (status, "file" in answer["message"]) == (400, True)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    status, _, _ = await post(f"{server_url}/stt", data=b"\0nonsense", headers=headers)
    assert status == 400


async def test_raw_bytes_are_what_a_phone_plays(server_url: str) -> None:
    wanted = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}
    _, _, spoken = await post(f"{server_url}/tts/bytes", json=body(output_format=wanted))
    assert 3 < len(spoken) / 8000 < 7
    assert max(codec.mulaw_to_linear16(spoken)) > 100


async def test_server_sent_events(server_url: str) -> None:
    wanted = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
    request = body("One. Two.", output_format=wanted, add_timestamps=True, context_id="c9")
    _, _, content = await post(f"{server_url}/tts/sse", json=request)
    events = [json.loads(line[6:]) for line in content.decode().splitlines() if line.startswith("data: ")]
    assert {event["context_id"] for event in events} == {"c9"}
    kinds = [event["type"] for event in events]
    assert kinds[0] == "chunk"
    assert kinds[-1] == "done"
    assert kinds.count("timestamps") == 2
    assert events[-1]["done"] is True


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"output_format": {"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}}, "MP3"),
        ({"output_format": {**WAV, "encoding": "opus"}}, "encoding"),
        ({"output_format": {**WAV, "sample_rate": 1}}, "sample_rate"),
        ({"output_format": {**WAV, "sample_rate": "x"}}, "sample_rate"),
        ({"transcript": None}, "transcript"),
        ({"generation_config": {"speed": 9}}, "speed"),
        ({"language": "en", "locale": "en-GB"}, "locale"),
    ],
)
async def test_bad_requests(server_url: str, change: dict[str, Any], says: str) -> None:
    status, answer, _ = await post(f"{server_url}/tts/bytes", json=body(**change))
    assert status == 400
    assert says in answer["message"]


async def test_errors_before_2026_are_a_line_of_text(server_url: str) -> None:
    headers = {"Cartesia-Version": "2025-04-16"}
    status, answer, content = await post(f"{server_url}/tts/bytes", data=b"{", headers=headers)
    assert (status, answer) == (400, None)
    assert content.startswith(b"Bad request: malformed request")
    # The query wins over the header.
    _, answer, _ = await post(f"{server_url}/tts/bytes?cartesia_version=2026-03-01", data=b"{", headers=headers)
    assert answer["title"] == "Bad request"
    status, answer, _ = await post(f"{server_url}/tts/bytes?cartesia_version=soon", data=b"{")
    assert (status, "soon" in answer["message"]) == (400, True)


async def test_the_list_of_voices(server_url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{server_url}/voices") as response:
        listed = (await response.json())["data"]
    assert [voice["id"] for voice in listed[:2]] == ["en-US", "en-GB"]
