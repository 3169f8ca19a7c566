"""What is kept of a call between two people: who said what, in texts and picture, and each on their side."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from bridge.conversation.journal import CallClosed
from bridge.store.files import FileStore
from bridge.store.placement import HOLD, LAG, Placement, Stretch
from bridge.store.scene import read_scene
from bridge.store.texts import transcript_json, transcript_text
from bridge.store.timeline import timeline_svg
from bridge.store.writer import DiskThread
from tests.store import wav_reader
from tests.store.samples import ENTRIES, HEADER, LOG_ENTRIES, LOG_HEADER

TEXT = """\
Call 77aa01 (CA0123456789abcdef0123456789abcdee), inbound, from +15551234567 to +15557654321
2026-03-01 12:34:56 UTC; connected with sip:desk@pbx.example.com; ended: the other side hung up

[ 0:01.2] Callee sip:desk@pbx.example.com  Blue Door, Ann speaking.
[ 0:02.8] Caller +15551234567               Hello, this is Tom. 
[ 0:05.2] Callee sip:desk@pbx.example.com  Hi Tom — (the speech service was away: words are missing)
"""  # noqa: W291 - the words are kept as they came, spaces included


def test_the_transcript_names_who_speaks() -> None:
    assert transcript_text(LOG_HEADER, LOG_ENTRIES) == TEXT


def test_who_was_not_reached_was_not_connected() -> None:
    text = transcript_text(LOG_HEADER, [CallClosed(900, "not_reached")])
    assert "; to be connected with sip:desk@pbx.example.com; ended: the other side was not reached" in text


def test_the_transcript_for_programs_names_them_too() -> None:
    lines = json.loads(transcript_json(LOG_HEADER, LOG_ENTRIES))["lines"]
    assert [(line["speaker"], line["name"], line["text"]) for line in lines] == [
        ("callee", "sip:desk@pbx.example.com", "Blue Door, Ann speaking."),
        ("caller", "+15551234567", " Hello, this is Tom. "),
        ("callee", "sip:desk@pbx.example.com", "Hi Tom"),
    ]
    assert [line["degraded"] for line in lines] == [False, False, True]


def test_the_picture_has_a_row_for_each_of_them() -> None:
    scene = read_scene(LOG_ENTRIES)
    assert scene.other == "callee"
    assert [(speech.text, speech.kind) for speech in scene.agent] == [
        ("Blue Door, Ann speaking.", "words"),
        ("", "empty"),
        ("Hi Tom …", "words"),
    ]
    assert [speech.number for speech in scene.caller] == [1]
    texts = [node.text for node in ET.fromstring(timeline_svg(LOG_HEADER, LOG_ENTRIES)).iter() if node.text]
    assert {"Caller", "Callee"} <= set(texts)
    assert "Agent" not in texts
    assert any("Callee, turn 2" in text and "(no speech)" in text for text in texts)
    agents = [node.text for node in ET.fromstring(timeline_svg(HEADER, ENTRIES)).iter()]
    assert "Agent" in agents


async def test_each_side_is_placed_by_the_carriers_timestamps(tmp_path: Path) -> None:
    disk = DiskThread()
    store = FileStore(tmp_path, disk=disk)
    record = store.open(LOG_HEADER)
    for at_ms in range(0, 4000, 20):
        record.caller_audio(at_ms, b"c" * 160)
        if at_ms >= 1500 and at_ms != 2000:
            record.callee_audio(at_ms, b"e" * 160)
        if at_ms == 2400:
            record.callee_audio(2000, b"L" * 160)  # It comes late, and is placed where it belongs.
    for entry in LOG_ENTRIES:
        record.append(entry)
    files = await record.close()
    await store.close()
    assert files.recording is not None
    heard = wav_reader.read(files.recording.read_bytes())
    assert heard.left == b"c" * 32_000
    assert heard.right == b"\xff" * 12_000 + b"e" * 4000 + b"L" * 160 + b"e" * 15_840
    assert "Callee sip:desk@pbx.example.com" in files.transcript_text.read_text()


@given(
    first=st.lists(st.integers(0, 3000), max_size=60),
    second=st.lists(st.integers(0, 3000), max_size=60),
)
def test_whatever_comes_when_both_sides_are_given_out_once_and_in_order(
    first: list[int], second: list[int]
) -> None:
    """However far apart the two tracks are, nothing is lost that is not told, and nothing waits for ever."""
    placement = Placement()
    stretches: list[Stretch] = []
    steps = [("caller", n) for n in sorted(first)] + [("callee", n) for n in sorted(second)]
    for side, step in sorted(steps, key=lambda one: one[1]):
        (placement.caller_audio if side == "caller" else placement.callee_audio)(
            step * 20, side[-1:].encode() * 160
        )
        if (stretch := placement.take()) is not None:
            stretches.append(stretch)
        newest = max(placement.caller.end, placement.callee.end)
        assert newest - placement.given <= LAG + 2 * HOLD + 160
    stretches.append(placement.finish())
    assert [a.stop for a in stretches[:-1]] == [b.start for b in stretches[1:]]
    for side, track, steps_ in (("r", placement.caller, first), ("e", placement.callee, second)):
        pieces = [piece for s in stretches for piece in (s.caller if side == "r" else s.agent)]
        kept = sum(len(audio) for _, audio in pieces if audio.strip(b"\xff"))
        assert kept + track.dropped == 160 * len(steps_)


def test_one_side_alone_is_recorded_as_well() -> None:
    placement = Placement()
    for at_ms in range(0, 14_000, 20):
        placement.callee_audio(at_ms, b"e" * 160)
        if (stretch := placement.take()) is not None:
            assert stretch.caller == ()
    assert placement.given > 0
    assert placement.finish().stop == 14_000 * 8
