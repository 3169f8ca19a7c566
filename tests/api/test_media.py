"""The sound of a call and its pictures: whole, in parts, while it is being recorded."""

from __future__ import annotations

import base64
import io
import time
import zipfile
from collections.abc import AsyncIterator
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridge.audio.wav import parse
from bridge.store.vault import Keys
from tests.api.kept_world import ONE, SECONDS, TWO, Kept, kept

RECORDING = f"/calls/{ONE}/recording"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kept]:
    """One bridge for all: nothing here changes what is kept."""
    async with kept(tmp_path_factory.mktemp("calls")) as it:
        yield it


def on_disk(it: Kept, name: str = "recording.wav") -> bytes:
    (path,) = it.world.folder.glob(f"*/*{ONE}/{name}")
    return path.read_bytes()


async def test_the_recording_is_a_wav(it: Kept) -> None:
    status, body, response = await it.ask(RECORDING)
    assert (status, response.content_type) == (200, "audio/wav")
    assert body == on_disk(it)
    assert int(response.headers["Content-Length"]) == len(body)
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Disposition"] == f"inline; filename=\"{ONE}.wav\"; filename*=UTF-8''{ONE}.wav"
    wav = parse(body, name="it")
    assert (wav.channels, wav.sample_rate, wav.seconds) == (2, 8000, SECONDS)


async def test_head_tells_the_same_and_sends_nothing(it: Kept) -> None:
    status, body, response = await it.ask(RECORDING, "HEAD")
    assert (status, body) == (200, b"")
    assert int(response.headers["Content-Length"]) == len(on_disk(it))
    _, _, again = await it.ask(RECORDING)
    assert again.headers["ETag"] == response.headers["ETag"]


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-0", "bytes=0-", "bytes=44-99", "bytes=-100", "bytes=100-1000000", "bytes=48057-", "bytes=-99999999"],
)
async def test_parts_are_those_that_another_server_gives(it: Kept, asked: str) -> None:
    (path,) = it.world.folder.glob(f"*/*{ONE}/recording.wav")

    async def plain(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path)

    app = web.Application()
    app.router.add_get("/", plain)
    status, body, response = await it.ask(RECORDING, Range=asked)
    async with TestClient(TestServer(app)) as other, other.get("/", headers={"Range": asked}) as wanted:
        assert (status, body) == (wanted.status, await wanted.read())
        assert response.headers["Content-Range"] == wanted.headers["Content-Range"]
    _, _, head = await it.ask(RECORDING, "HEAD", Range=asked)
    assert (head.status, head.headers["Content-Range"]) == (206, response.headers["Content-Range"])


async def test_what_lies_behind_the_end_is_told(it: Kept) -> None:
    size = len(on_disk(it))
    status, body, response = await it.ask(RECORDING, Range=f"bytes={size}-")
    assert (status, response.content_type) == (416, "application/problem+json")
    assert response.headers["Content-Range"] == f"bytes */{size}"
    assert b"range_unsatisfiable" in body


async def test_conditions_count(it: Kept) -> None:
    _, whole, response = await it.ask(RECORDING)
    tag = response.headers["ETag"]
    status, body, _ = await it.ask(RECORDING, Range="bytes=0-3", If_Range=tag)
    assert (status, body) == (206, b"RIFF")
    for other in ('"other"', f"W/{tag}", "Sun, 01 Mar 2026 12:00:00 GMT"):
        status, body, _ = await it.ask(RECORDING, Range="bytes=0-3", If_Range=other)
        assert (status, body) == (200, whole)
    status, body, _ = await it.ask(RECORDING, If_None_Match=tag)
    assert (status, body) == (304, b"")


async def test_messages_are_there_by_their_number(it: Kept) -> None:
    status, body, response = await it.ask(f"/calls/{ONE}/messages/1")
    assert (status, response.content_type, body) == (200, "audio/wav", on_disk(it, "message-1.wav"))
    for number in ("2", "0", "-1", "x", "1.0", "%31%2f..", "99999999999999999999", "²"):
        status, _, response = await it.ask(f"/calls/{ONE}/messages/{number}")
        assert (status, response.content_type) == (404, "application/problem+json")


async def test_how_loud_both_sides_are(it: Kept) -> None:
    found = await it.json(f"/calls/{ONE}/peaks")
    caller, agent = (base64.b64decode(found[side]) for side in ("caller", "agent"))
    assert found["per_second"] == 50
    assert found["duration_ms"] == SECONDS * 1000
    assert len(caller) == len(agent) == SECONDS * 50
    assert max(caller) > 0
    assert agent[10] == 0, "silence before half a second"
    assert agent[30] > 100
    coarse = await it.json(f"/calls/{ONE}/peaks", {"points": 10})
    assert len(base64.b64decode(coarse["caller"])) <= 10
    assert max(base64.b64decode(coarse["agent"])) == max(agent)
    await it.json(f"/calls/{ONE}/peaks", {"points": 9}, status=422)


async def test_all_of_a_call_comes_in_one_file(it: Kept) -> None:
    status, body, response = await it.ask(f"/calls/{ONE}/bundle")
    assert (status, response.content_type) == (200, "application/zip")
    assert response.headers["Content-Disposition"].startswith(f'attachment; filename="{ONE}.zip"')
    with zipfile.ZipFile(io.BytesIO(body)) as bundle:
        assert bundle.testzip() is None
        by_name = {name.rpartition("/")[2]: name for name in bundle.namelist()}
        assert {"recording.wav", "journal.jsonl", "transcript.vtt", "message-1.wav"} <= set(by_name)
        assert bundle.read(by_name["recording.wav"]) == on_disk(it)
    assert (await it.json("/audit"))["items"][0]["what"] == "recording_exported"
    status, body, _ = await it.ask(f"/calls/{ONE}/bundle", "HEAD")
    assert (status, body) == (200, b"")


async def test_nothing_recorded_is_told(it: Kept) -> None:
    for what in ("recording", "peaks"):
        assert (await it.json(f"/calls/{TWO}/{what}", status=404))["code"] == "recording_missing"


async def test_the_picture_is_an_image_that_does_nothing(it: Kept) -> None:
    status, body, response = await it.ask(f"/calls/{ONE}/timeline.svg")
    assert (status, response.content_type, body) == (200, "image/svg+xml", on_disk(it, "timeline.svg"))
    assert "script" not in response.headers["Content-Security-Policy"]
    assert ET.fromstring(body).tag.endswith("svg")
    _, body, _ = await it.ask(f"/calls/{TWO}/timeline.svg")
    assert ET.fromstring(body).tag.endswith("svg")
    status, body, response = await it.ask(f"/calls/{ONE}/timeline.png")
    if status == 501:
        assert b"no_font" in body  # This machine has none.
    else:
        assert (status, response.content_type, body[:8]) == (200, "image/png", b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(("form", "kind", "begins"), [("opus", "audio/ogg", b"OggS"), ("mp3", "audio/mpeg", b"")])
async def test_the_recording_comes_compressed_as_well(it: Kept, form: str, kind: str, begins: bytes) -> None:
    status, body, response = await it.ask(RECORDING, query={"format": form}, Range="bytes=0-3")
    assert (status, response.content_type, response.headers["Accept-Ranges"]) == (200, kind, "none")
    assert body.startswith(begins)
    assert 100 < len(body) < len(on_disk(it))
    assert int(response.headers["Content-Length"]) == len(body)
    assert response.headers["Content-Disposition"].startswith(f'attachment; filename="{ONE}.{form}"')
    assert (await it.json(RECORDING, {"format": "flac"}, status=422))["errors"][0]["field"] == "format"


async def test_no_more_wait_for_another_form_than_files_can_be_held_open(
    it: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr("bridge.api.media_routes._MOST_WAITING", 0)
        assert (await it.json(RECORDING, {"format": "opus"}, status=429))["code"] == "too_many_waiting"
    assert (await it.ask(RECORDING, query={"format": "opus"}))[0] == 200


async def test_who_has_heard_what_is_kept_before_it_is_heard(it: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.monotonic() + 5000  # Whatever was heard before is another hearing.
    monkeypatch.setattr("bridge.api.media_routes.time", SimpleNamespace(monotonic=lambda: later))
    before = len((await it.json("/audit", {"limit": 200}))["items"])
    await it.ask(RECORDING, Range="bytes=0-9")
    await it.ask(f"/calls/CA{ONE}/messages/1")
    await it.ask(RECORDING, "HEAD")
    await it.ask(f"/calls/{TWO}/recording")
    lines = (await it.json("/audit", {"limit": 200}))["items"]
    assert [(one["who"], one["what"], one["call_id"], one["detail"]) for one in lines[: len(lines) - before]] == [
        ("local", "recording_read", ONE, "message 1"),
        ("local", "recording_read", ONE, "wav in parts"),
    ]
    first = await it.json("/audit", {"limit": 1})
    second = await it.json("/audit", {"limit": 1, "cursor": first["next"]})
    assert [*first["items"], *second["items"]] == lines[:2]
    assert (await it.json("/audit", {"cursor": "x"}, status=422))["code"] == "cursor_invalid"


async def test_a_browser_that_seeks_leaves_one_line_for_ten_minutes(
    it: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lines() -> list[str]:
        return [one["detail"] for one in (await it.json("/audit", {"limit": 200}))["items"]]

    # Whatever was heard before is another hearing. Whole seconds: fractions would not add up to ten minutes.
    now = float(round(time.monotonic()) + 10_000)
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("bridge.api.media_routes.time", clock)
    before = len(await lines())
    for first in (0, 1000, 0, 2000):
        await it.ask(RECORDING, Range=f"bytes={first}-")
        await it.ask(f"/calls/{ONE}/messages/1", Range=f"bytes={first}-")
    assert (await lines())[:-before] == ["message 1 in parts", "wav in parts"]
    await it.ask(RECORDING)
    await it.ask(RECORDING)
    assert (await lines())[:-before][:2] == ["wav", "wav"], "whoever takes it whole leaves a line each time"
    now += 599
    await it.ask(RECORDING, Range="bytes=0-9")
    assert len(await lines()) == before + 4
    now += 1
    await it.ask(RECORDING, Range="bytes=0-9")
    assert (await lines())[:-before] == ["wav in parts", "wav", "wav", "message 1 in parts", "wav in parts"]


async def test_what_lies_encrypted_on_the_disk_is_heard_all_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    folder = tmp_path_factory.mktemp("sealed")
    async with kept(folder, keys=Keys.read(key, []), BRIDGE_STORE__ENCRYPTION_KEY=key) as it:
        (path,) = folder.glob(f"*/*{ONE}/recording.wav*")
        status, whole, response = await it.ask(RECORDING)
        assert (status, whole[:4], parse(whole, name="it").seconds) == (200, b"RIFF", SECONDS)
        assert whole[100:200] not in path.read_bytes()
        status, part, _ = await it.ask(RECORDING, Range="bytes=20000-30000", If_Range=response.headers["ETag"])
        assert (status, part) == (206, whole[20000:30001])
        status, message, _ = await it.ask(f"/calls/{ONE}/messages/1")
        assert (status, message[:4]) == (200, b"RIFF")
        assert max(base64.b64decode((await it.json(f"/calls/{ONE}/peaks"))["caller"])) > 0
    async with kept(tmp_path_factory.mktemp("locked"), keys=Keys.read(key, [])) as it:
        assert (await it.json(RECORDING, status=409))["code"] == "recording_locked"
