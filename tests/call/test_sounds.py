"""Sounds in a call: what is played, what is kept, and how it is stopped."""

from __future__ import annotations

import array
import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from aiohttp import web

from bridge.audio import codec, dtmf, wav
from bridge.audio.beep import beep
from bridge.call import sounds
from bridge.call.sounds import SoundEvent, Sounds
from bridge.conversation.events import SpeechArrived, SpeechFailed, SpeechFinished
from tests.call.sounding import MULAW, OTHER, WAV, Call, Server, audio_of, calling, raw_server, serving, tone


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Call]:
    (tmp_path / "sounds").mkdir()
    async with calling(tmp_path / "sounds") as call:
        yield call


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def always_asking() -> AsyncIterator[Call]:
    """For which nothing is fresh."""
    of = Sounds(allow_private=True, fresh_seconds=0)
    yield Call(of)
    await of.close()


# --- what is played ------------------------------------------------------------------------------------------


async def test_a_file_comes_in_pieces_of_half_a_second(call: Call, tmp_path: Path) -> None:
    (tmp_path / "sounds" / "hello.wav").write_bytes(WAV)

    events = await call.play("hello.wav")

    assert events == [
        SpeechArrived(1, MULAW[:4000]),
        SpeechArrived(1, MULAW[4000:8000]),
        SpeechArrived(1, MULAW[8000:]),
        SpeechFinished(1),
    ]


@pytest.mark.parametrize(
    "file",
    [
        wav.write_linear16(tone(rate=8000)),
        wav.write_linear16(tone(rate=16_000), sample_rate=16_000),
        wav.write_linear16(tone(rate=44_100), sample_rate=44_100),
        wav.write_mulaw(codec.linear16_to_mulaw(tone()), codec.linear16_to_mulaw(tone())),
    ],
    ids=["pcm", "pcm-16k", "pcm-44k1", "mulaw-stereo"],
)
async def test_every_kind_of_wav_becomes_what_a_phone_plays(call: Call, server: Server, file: bytes) -> None:
    server.file = file

    audio = await call.heard(server.url)

    assert abs(len(audio) - 1600) <= 2
    heard = array.array("h", codec.mulaw_to_linear16(audio))
    wanted = array.array("h", tone())
    assert max(abs(a - b) for a, b in zip(heard[50:1500], wanted[50:1500], strict=True)) < 900


async def test_alaw(call: Call, server: Server) -> None:
    file = bytearray(wav.write_mulaw(codec.linear16_to_alaw(tone())))
    file[20] = 6  # the format tag
    server.file = bytes(file)

    across = codec.alaw_to_linear16(codec.linear16_to_alaw(tone()))
    assert await call.heard(server.url) == codec.linear16_to_mulaw(across)


async def test_it_is_repeated_without_seams(call: Call, server: Server) -> None:
    events = await call.play(server.url, 3)

    assert audio_of(events) == MULAW * 3
    assert {len(event.audio) for event in events[:-2] if isinstance(event, SpeechArrived)} == {4000}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long sounds come at once, and not as they sound."""
    monkeypatch.setattr(sounds, "_AHEAD_S", 600.0)


@pytest.mark.usefixtures("hurried")
async def test_for_ever_is_a_thousand_times_or_ten_minutes(call: Call, server: Server) -> None:
    server.file = wav.write_mulaw(MULAW[:80])
    assert await call.heard(server.url, 0) == MULAW[:80] * 1000
    assert await call.heard(server.url, 5000) == MULAW[:80] * 1000

    server.file = wav.write_mulaw(MULAW * 10)
    assert len(await call.heard(server.url + "?long", 0)) == 600 // 13 * 13 * 8000


async def test_a_long_sound_comes_as_it_sounds(call: Call, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "_AHEAD_S", 1.0)
    await call.heard(server.url)  # From now on it comes from memory.
    call.events.clear()
    began = asyncio.get_running_loop().time()
    call.player.play(1, server.url, 0)
    while len(call.events) < 4:  # noqa: ASYNC110  The moment counts.
        await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() - began < 0.4
    while len(call.events) < 6:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - began > 0.9
    assert audio_of([*call.events]) == (MULAW * 3)[: 6 * 4000]
    call.player.cancel(1)


async def test_hundreds_of_sounds_do_not_come_at_once(call: Call, server: Server) -> None:
    await call.heard(server.url)  # From now on it comes from memory.
    call.events.clear()
    for utterance in range(200):
        call.player.play(utterance, server.url, 0)
    for _ in range(300):
        await asyncio.sleep(0)
    assert {event.utterance for event in call.events} == set(range(8))
    for utterance in range(7):
        call.player.cancel(utterance)
    call.events.clear()
    for _ in range(300):
        await asyncio.sleep(0)
    assert {event.utterance for event in call.events} == set(range(8, 15))
    await call.player.close()


@pytest.mark.usefixtures("hurried")
async def test_much_audio_does_not_keep_other_calls_waiting(call: Call, server: Server) -> None:
    await call.heard(server.url)  # From now on it comes from memory.
    pieces_before = [0]
    loop = asyncio.get_running_loop()

    def tick() -> None:
        pieces_before.append(len(call.events))
        if not call.ended.is_set():
            loop.call_soon(tick)

    call.events.clear()
    call.ended.clear()
    tick()
    call.player.play(1, server.url, 400)
    await call.ended.wait()
    tick()

    assert pieces_before[-1] > 1000
    assert max(after - before for before, after in itertools.pairwise(pieces_before)) <= 21


async def test_the_tone_before_a_message_needs_no_file() -> None:
    sounds = Sounds()
    assert await Call(sounds).heard("beep:") == beep()
    await sounds.close()


async def test_keys(call: Call) -> None:
    call.player.tones(7, "12w#")
    assert call.events == []
    await call.ended.wait()

    assert call.events[-1] == SpeechFinished(7)
    assert audio_of(call.events) == dtmf.tones("12w#")


@pytest.mark.parametrize(
    ("digits", "code", "message"),
    [
        ("1234x", "sound_format", "cannot send the digits: character 5 of the digits is 'x'"),
        ("", "sound_format", "there are no digits to send"),
        ("1234" * 126, "sound_refused", "504 digits are too many to send: give 500 at most"),
    ],
)
async def test_keys_that_cannot_be_sent_are_not_told(call: Call, digits: str, code: str, message: str) -> None:
    with structlog.testing.capture_logs() as logs:
        call.player.tones(1, digits)
        await call.ended.wait()

    (event,) = call.events
    assert isinstance(event, SpeechFailed)
    assert event.code == code
    assert message in event.message
    assert "1234" not in str(event) + str(logs)


# --- what is kept --------------------------------------------------------------------------------------------


async def test_a_fresh_sound_is_not_asked_for_again(call: Call, server: Server) -> None:
    assert await call.heard(server.url) == MULAW
    server.file = wav.write_mulaw(OTHER)

    assert await call.heard(server.url) == MULAW
    assert len(server.requests) == 1


@pytest.mark.parametrize("headers", [{"ETag": '"v1"'}, {"Last-Modified": "Sat, 21 Nov 2026 09:00:00 GMT"}])
async def test_an_old_sound_is_asked_about(always_asking: Call, server: Server, headers: dict[str, str]) -> None:
    server.headers = headers
    assert await always_asking.heard(server.url) == MULAW
    server.file = b"never sent: it is said to be unchanged"
    assert await always_asking.heard(server.url) == MULAW

    server.file, server.headers = wav.write_mulaw(OTHER), {"ETag": '"v2"'}
    assert await always_asking.heard(server.url) == OTHER
    assert len(server.requests) == 3


async def test_a_sound_that_was_asked_about_is_fresh_again(server: Server) -> None:
    of = Sounds(allow_private=True, fresh_seconds=0.5)
    call = Call(of)
    server.headers = {"ETag": '"v1"'}
    await call.heard(server.url)
    await asyncio.sleep(0.55)
    await call.heard(server.url)
    await call.heard(server.url)
    await of.close()

    assert [request.headers.get("If-None-Match") for request in server.requests] == [None, '"v1"']


async def test_another_address_is_not_asked_about_it(always_asking: Call, server: Server) -> None:
    server.headers = {"ETag": '"v1"'}
    assert await always_asking.heard(server.url) == MULAW

    async def moved(request: web.Request) -> web.StreamResponse:
        if request.query_string:
            return await server.wav(request)
        return web.Response(status=302, headers={"Location": "?elsewhere"})

    server.answer, server.file = moved, wav.write_mulaw(OTHER)
    assert await always_asking.heard(server.url) == OTHER


async def test_no_cookies_are_kept(always_asking: Call, server: Server) -> None:
    server.headers = {"Set-Cookie": "caller=ann"}
    url = server.url.replace("127.0.0.1", "localhost")  # Jars take none of numbers.
    await always_asking.heard(url)
    await always_asking.heard(url)

    assert [request.headers.get("Cookie") for request in server.requests] == [None, None]


async def test_an_old_sound_whose_server_cannot_tell_is_fetched(always_asking: Call, server: Server) -> None:
    assert await always_asking.heard(server.url) == MULAW
    server.file = wav.write_mulaw(OTHER)

    assert await always_asking.heard(server.url) == OTHER


@pytest.mark.parametrize("control", ["no-store", "private, No-Cache", "max-age=0"])
async def test_a_server_may_forbid_keeping(call: Call, server: Server, control: str) -> None:
    server.headers = {"Cache-Control": control}
    assert await call.heard(server.url) == MULAW
    server.file = wav.write_mulaw(OTHER)

    assert await call.heard(server.url) == OTHER


async def test_a_file_is_read_again_when_it_was_written(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted = []
    read_mulaw = wav.read_mulaw

    def counting(file: bytes, *, name: str) -> bytes:
        converted.append(name)
        return read_mulaw(file, name=name)

    monkeypatch.setattr(wav, "read_mulaw", counting)
    path = tmp_path / "sounds" / "a.wav"
    path.write_bytes(WAV)
    assert await call.heard("a.wav") == await call.heard("a.wav") == MULAW
    assert converted == ["a.wav"]

    status = path.stat()
    path.write_bytes(wav.write_mulaw(MULAW[::-1]))  # as many bytes
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert await call.heard("a.wav") == MULAW[::-1]


async def test_only_so_much_is_kept_and_what_was_used_longest_ago_goes(server: Server) -> None:
    of = Sounds(allow_private=True, cache_bytes=2 * len(MULAW))
    call = Call(of)
    for name in ("a", "b", "a", "c", "a", "b"):
        await call.heard(f"{server.url}?{name}")
    await of.close()

    assert [request.query_string for request in server.requests] == ["a", "b", "c", "b"]


# --- stopping ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + WAV[:50]])
async def test_cancelling_closes_the_connection(call: Call, answer: bytes) -> None:
    async with raw_server(answer) as (url, asked, left):
        call.player.play(1, url, 1)
        await asked.wait()
        await asyncio.sleep(0.02)  # Its answer is on the way.
        call.player.cancel(1)
        await left.wait()

    assert call.events == []


async def test_cancelled_at_once_nothing_is_fetched(call: Call, server: Server) -> None:
    call.player.play(1, server.url, 1)
    call.player.cancel(1)
    call.player.cancel(2)
    call.player.tones(3, "1")
    await call.ended.wait()

    assert server.requests == []
    assert call.events == [SpeechArrived(3, dtmf.tones("1")), SpeechFinished(3)]


async def test_cancelled_by_who_listens_nothing_more_comes(server: Server) -> None:
    events: list[SoundEvent] = []

    def take(event: SoundEvent) -> None:
        events.append(event)
        if len(events) == 2:
            player.cancel(1)
            player.tones(2, "1")
        if event == SpeechFinished(2):
            ended.set()

    ended = asyncio.Event()
    of = Sounds(allow_private=True)
    player = of.open(take, name="call-1")
    player.play(1, server.url, 3)
    await ended.wait()
    await of.close()

    assert [event.utterance for event in events] == [1, 1, 2, 2]


async def test_closing_cancels_everything_and_nothing_begins_any_more(call: Call) -> None:
    async with raw_server(b"") as (url, asked, left):
        call.player.play(1, url, 1)
        await asked.wait()
        await call.player.close()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("sound-")]
        call.player.play(2, url, 1)
        call.player.tones(3, "1")
        await left.wait()
        await asyncio.sleep(0.02)

    assert call.events == []


async def test_calls_do_not_wait_for_each_other(call: Call, server: Server) -> None:
    async with raw_server(b"") as (url, asked, _):
        call.player.play(9, url, 1)
        await asked.wait()
        assert await call.heard(server.url) == MULAW
        await call.player.close()


async def test_a_bug_does_not_leave_a_call_waiting(
    call: Call, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(sounds, "_to_mulaw", broken)

    with structlog.testing.capture_logs() as logs:
        code, message = await call.failure(server.url)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert (code, message) == ("sound_format", "the sound failed: ZeroDivisionError('oh')")
    assert [line["event"] for line in logs] == ["sound_failed", "task_failed"]
