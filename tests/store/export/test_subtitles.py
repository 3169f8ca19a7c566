"""Subtitles: WebVTT and SRT, read by strict grammars and by FFmpeg."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from itertools import pairwise

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.conversation.journal import AgentSpoke, CallerSpoke, Entry, PartySpoke
from bridge.store.export.srt import write_srt
from bridge.store.export.webvtt import write_webvtt
from tests.store.samples import HEADER, LOG_ENTRIES, LOG_HEADER, TROUBLED

Shown = tuple[int, int, str, str]
"""From, to (ms), the speaker's name and what is shown."""

_TIME = r"(\d{2,}):([0-5]\d):([0-5]\d)"
_VTT_CUE = re.compile(rf"{_TIME}\.(\d{{3}}) --> {_TIME}\.(\d{{3}})\n<v ([^\n<>]+)>((?:[^\n]|\n(?!\n))*)</v>")
_SRT_CUE = re.compile(rf"(\d+)\n{_TIME},(\d{{3}}) --> {_TIME},(\d{{3}})\n([^:\n]+): ((?:[^\n]|\n(?!\n))*)")


def ms(hours: str, minutes: str, seconds: str, rest: str) -> int:
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(rest)


def read_vtt(content: bytes) -> list[Shown]:
    """Read what `write_webvtt` may write, and nothing else. See https://www.w3.org/TR/webvtt1/#syntax"""
    first, note, *blocks = content.decode().removesuffix("\n").split("\n\n")
    assert first == "WEBVTT"
    assert note.startswith("NOTE\n") and "-->" not in note
    shown = []
    for block in blocks:
        cue = _VTT_CUE.fullmatch(block)
        assert cue, block
        *times, name, said = cue.groups()
        said = said.replace("<i>", "").replace("</i>", "")
        assert "<" not in said and ">" not in said and not re.search(r"&(?!(amp|lt|gt);)", said)
        assert re.fullmatch(r"(?:[^&<>]|&(?:amp|lt|gt);)+", name)
        shown.append((ms(*times[:4]), ms(*times[4:]), unescape(name), unescape(said)))
    return shown


def read_srt(content: bytes) -> list[Shown]:
    shown = []
    blocks = content.decode().removesuffix("\n").split("\n\n") if content else []
    for number, block in enumerate(blocks, start=1):
        cue = _SRT_CUE.fullmatch(block)
        assert cue, block
        count, *times, name, said = cue.groups()
        assert int(count) == number
        shown.append((ms(*times[:4]), ms(*times[4:]), name, said))
    return shown


def by_ffmpeg(content: bytes, kind: str) -> list[tuple[int, int, str]]:
    with av.open(io.BytesIO(content), "r", format=kind) as file:
        packets = [(packet.pts, packet.duration, bytes(packet).decode()) for packet in file.demux() if packet.size]
    return [(start, start + length, said) for start, length, said in packets if start is not None and length]


def times(entries: Sequence[Entry], write: str) -> list[tuple[int, int]]:
    if write == "srt":
        return [(start, end) for start, end, _, _ in read_srt(write_srt(HEADER, entries))]
    return [(start, end) for start, end, _, _ in read_vtt(write_webvtt(HEADER, entries))]


def test_a_call_as_webvtt() -> None:
    shown = read_vtt(write_webvtt(HEADER, TROUBLED))
    assert shown[1] == (4200, 6800, "Caller", "Do you have a table for two tonight?")
    assert shown[2] == (6800, 8600, "Agent", 'We do. — cut off; not heard: " At what time would"')
    assert shown[3] == (7900, 13_000, "Caller", " At seven, or no, make that half past eight.")
    assert shown[9][3] == "(the speech service was away: words are missing)"


def test_a_call_as_srt() -> None:
    shown = read_srt(write_srt(HEADER, TROUBLED))
    assert shown[2] == (6800, 7900, "Agent", 'We do. — cut off; not heard: " At what time would"')
    assert shown[3] == (7900, 13_000, "Caller", " At seven, or no, make that half past eight.")
    assert all(one[1] <= two[0] for one, two in pairwise(shown)), "one at a time"


def test_two_people() -> None:
    shown = read_vtt(write_webvtt(LOG_HEADER, LOG_ENTRIES))
    assert [name for _, _, name, _ in shown] == [
        "Callee sip:desk@pbx.example.com",
        "Caller +15551234567",
        "Callee sip:desk@pbx.example.com",
    ]
    assert shown[0][1] > shown[1][0], "who talk at once are shown at once"


@pytest.mark.parametrize("kind", ["webvtt", "srt"])
def test_ffmpeg_reads_the_same(kind: str) -> None:
    header = replace(HEADER, caller="+1 <b> & --> x")
    entries = [*TROUBLED, CallerSpoke(99, "a <b> & c --> d\n\n\nnext\r\nlast", 60_000, 61_000)]
    write, read = {"webvtt": (write_webvtt, read_vtt), "srt": (write_srt, read_srt)}[kind]
    content = write(header, entries)
    own, theirs = read(content), by_ffmpeg(content, kind)
    assert [(start, end) for start, end, _ in theirs] == [(start, end) for start, end, _, _ in own]
    for (*_, name, said), (*_, packet) in zip(own, theirs, strict=True):
        shown = unescape(re.sub(r"</?[iv][^<>]*>", "", packet))
        assert said in shown and name in packet


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("<b>&amp;</b>", "<b>&amp;</b>"),
        ("one\n\ntwo", "one\ntwo"),
        ("one\r\n \r\n\ttwo", "one\n\ttwo"),
        ("\n\none\n\n", "one"),
        ("one\u2028two\x85three\x0bfour", "one\ntwo\nthree\nfour"),
        ("x\0y", "x\ufffdy"),
        (" spaces stay ", " spaces stay "),
        ("00:00:01.000 --> 00:00:02.000", "00:00:01.000 --> 00:00:02.000"),
        ("WEBVTT", "WEBVTT"),
        ("NOTE x", "NOTE x"),
        ("東京 שלום 😀", "東京 שלום 😀"),
    ],
)
def test_what_is_said_stays_what_was_said(said: str, shown: str) -> None:
    entries = [CallerSpoke(1, said, 0, 900), CallerSpoke(2, "next", 1000, 1500)]
    assert [text for *_, text in read_vtt(write_webvtt(HEADER, entries))] == [shown, "next"]
    plain = shown.replace("-->", "→")  # a reader of SRT may take an arrow for another subtitle's times
    assert [text for *_, text in read_srt(write_srt(HEADER, entries))] == [plain, "next"]


@pytest.mark.parametrize("number", ["a\n\nb", "-->", "<v x>", "", "\0", "\ud800"])
def test_odd_numbers_break_nothing(number: str) -> None:
    header = replace(LOG_HEADER, caller=number, id=number or "x", other=number)
    content = write_webvtt(header, [PartySpoke("caller", 1, "Hi", 0, 5)])
    assert [text for *_, text in read_vtt(content)] == ["Hi"]
    assert write_srt(header, [PartySpoke("caller", 1, "Hi", 0, 5)])


# --- Times ---


def caller(start: int, end: int) -> Entry:
    return CallerSpoke(1, "x", start, end)


def agent(start: int, end: int) -> Entry:
    return AgentSpoke(1, 1, "turn.ended", "y", "", False, start, end, sent_ms=start)


@pytest.mark.parametrize(
    ("entries", "together", "one_by_one"),
    [
        ([caller(0, 100), caller(50, 200)], [(0, 50), (50, 200)], [(0, 50), (50, 200)]),
        ([caller(0, 100), agent(50, 200)], [(0, 100), (50, 200)], [(0, 50), (50, 200)]),
        ([caller(0, 100), agent(0, 200)], [(0, 100), (0, 200)], [(0, 1), (1, 200)]),
        ([caller(5, 5)], [(5, 6)], [(5, 6)]),
        ([caller(9, 5)], [(9, 10)], [(9, 10)]),
        ([caller(-50, -5)], [(0, 1)], [(0, 1)]),
        ([caller(5, 5), caller(5, 5), caller(5, 9)], [(5, 6), (6, 7), (7, 9)], [(5, 6), (6, 7), (7, 9)]),
        (
            [caller(0, 99), agent(10, 20), caller(50, 60)],
            [(0, 50), (10, 20), (50, 60)],
            [(0, 10), (10, 20), (50, 60)],
        ),
        ([caller(3 * 3600_000, 100 * 3600_000)], [(10_800_000, 360_000_000)], [(10_800_000, 360_000_000)]),
    ],
)
def test_times(entries: list[Entry], together: list[tuple[int, int]], one_by_one: list[tuple[int, int]]) -> None:
    assert times(entries, "vtt") == together
    assert times(entries, "srt") == one_by_one


MOMENTS = st.integers(-100, 5000)
CALLS = st.lists(
    st.one_of(
        st.builds(CallerSpoke, st.just(1), st.text(min_size=1), MOMENTS, MOMENTS),
        st.builds(
            AgentSpoke,
            *(st.just(1), st.just(1), st.just("turn.ended"), st.text(), st.text(), st.booleans(), MOMENTS, MOMENTS),
            sent_ms=st.none() | MOMENTS,
        ),
    ),
    max_size=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CALLS)
def test_any_call_gives_sound_subtitles(entries: list[Entry]) -> None:
    vtt, srt = read_vtt(write_webvtt(HEADER, entries)), read_srt(write_srt(HEADER, entries))
    assert len(vtt) == len(srt)
    for shown in (vtt, srt):
        assert all(start < end for start, end, _, _ in shown)
        assert all(one[0] <= two[0] for one, two in pairwise(shown))
    for speaker in ("Caller", "Agent"):
        own = [one for one in vtt if one[2] == speaker]
        assert all(one[1] <= two[0] for one, two in pairwise(own)), "nobody talks over themselves"
    assert all(one[1] <= two[0] for one, two in pairwise(srt))
