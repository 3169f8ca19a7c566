"""Where audio belongs in a recording: playbooks, and properties against models that know nothing of positions."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.store.placement import BLOCK, HOLD, JUMP, LAG, PHONE_BUFFER, Placement, Stretch

SILENT = "~"
FRAME = 160


def frame(letter: str, ms: int = 20) -> bytes:
    return letter.encode() * (8 * ms)


def play(steps: list[tuple[Any, ...]]) -> tuple[bytes, bytes, Placement]:
    """Run a playbook: `("caller", at_ms, audio)`, `("agent", at_ms, audio)`, `("clear", at_ms)` …"""
    placement = Placement()
    left, right = bytearray(), bytearray()

    def keep(stretch: Stretch | None) -> None:
        if stretch is not None:
            assert stretch.start == len(left)
            for a, b in stretch.blocks():
                assert len(a) == len(b) <= BLOCK
                left.extend(a)
                right.extend(b)
            assert stretch.stop == len(left)

    for step in steps:
        match step:
            case ("caller", at_ms, audio):
                placement.caller_audio(at_ms, audio)
            case ("agent", at_ms, audio):
                placement.agent.play(at_ms, audio)
            case ("clear", at_ms):
                placement.agent.clear(at_ms)
            case ("pause", at_ms):
                placement.pause(at_ms)
            case ("resume", at_ms):
                placement.resume(at_ms)
        keep(placement.take())
    keep(placement.finish())
    return bytes(left), bytes(right), placement


def runs(audio: bytes) -> str:
    """`~40 a20` for 40 ms of silence and 20 ms of a; a fraction where it is no whole number."""
    parts = []
    for byte, same in groupby(audio):
        ms = f"{len(list(same)) / 8:g}"
        parts.append((SILENT if byte == 0xFF else chr(byte)) + ms)
    return " ".join(parts)


CALLER = {
    "joined to the byte": ([(40, "a"), (60, "b"), (80, "c")], "~40 a20 b20 c20"),
    "timestamps that waver are joined": ([(40, "a"), (73, "b"), (65, "c"), (100, "d")], "~40 a20 b20 c20 d20"),
    "one lost frame is silence": ([(0, "a"), (40, "c")], "a20 ~20 c20"),
    "many lost frames are silence": ([(0, "a"), (500, "b")], "a20 ~480 b20"),
    "out of order": ([(0, "a"), (40, "c"), (20, "b"), (60, "d")], "a20 b20 c20 d20"),
    "two late ones, the later first": ([(0, "a"), (60, "d"), (40, "c"), (20, "b")], "a20 b20 c20 d20"),
    "a doubled frame is dropped": ([(0, "a"), (20, "b"), (20, "x"), (0, "x"), (40, "c")], "a20 b20 c20"),
    "a late one finds its hole a little off": ([(3, "a"), (43, "c"), (21, "b")], "~3 a20 b20 c20"),
    "a late one meets what follows it": ([(0, "a"), (60, "d"), (43, "c")], "a20 ~20 c20 d20"),
    "far too late": ([(0, "a"), *((20 * i, "b") for i in range(200, 400)), (40, "x")], "a20 ~3980 b4000"),
    "before the beginning": ([(-60, "x"), (0, "a")], "a20"),
    "a time that cannot be": ([(0, "a"), (JUMP, "x"), (20, "b")], "a20 b20"),
}


@pytest.mark.parametrize("name", CALLER)
def test_the_callers_side(name: str) -> None:
    pieces, expected = CALLER[name]
    left, right, _ = play([("caller", at, frame(letter)) for at, letter in pieces])
    assert runs(left) == expected
    assert right == b"\xff" * len(left)


AGENT: dict[str, tuple[list[tuple[Any, ...]], str]] = {
    "sounds when it is handed over": ([("agent", 100.0, frame("a", 50))], "~100 a50 ~350"),
    "waits for what is queued": (
        [("agent", 10, frame("a", 100)), ("agent", 11.5, frame("b", 60))],
        "~10 a100 b60 ~330",
    ),
    "an under-run is a gap": (
        [("agent", 0, frame("a", 40)), ("agent", 43.5, frame("b", 20))],
        "a40 ~3.5 b20 ~436.5",
    ),
    "clear cuts what sounds": ([("agent", 0, frame("a", 200)), ("clear", 120.25)], "a120.25 ~379.75"),
    "clear drops what waits": (
        [("agent", 0, frame("a", 50)), ("agent", 1, frame("b", 50)), ("agent", 2, frame("c", 50)), ("clear", 60)],
        "a50 b10 ~440",
    ),
    "after a clear it sounds at once": (
        [("agent", 0, frame("a", 300)), ("clear", 100), ("agent", 130, frame("b", 20))],
        "a100 ~30 b20 ~350",
    ),
    "clear of nothing": ([("clear", 50), ("agent", 60, frame("a", 20)), ("clear", 90)], "~60 a20 ~420"),
    "the end of the call ends it": ([("agent", 400, frame("a", 9000))], "~400 a100"),
}


@pytest.mark.parametrize("name", AGENT)
def test_the_agents_side(name: str) -> None:
    steps, expected = AGENT[name]
    left, right, _ = play([*steps, ("caller", 480, frame("z"))])  # a call of half a second
    assert runs(right) == expected
    assert runs(left) == "~480 z20"


def test_a_phone_that_is_full_drops_the_rest() -> None:
    placement = Placement()
    for _ in range(11):
        placement.agent.play(0, frame("a", 60_000))
    assert placement.agent.end == PHONE_BUFFER
    assert placement.agent.dropped == 60_000 * 8


def test_one_side_does_not_wait_for_the_other_for_ever() -> None:
    placement = Placement()
    given_out = 0
    for second in range(60):
        placement.agent.play(second * 1000, frame("a", 500))
        if (stretch := placement.take()) is not None:
            given_out = stretch.stop
    assert given_out >= 59_000 * 8 - LAG - BLOCK


def test_a_side_that_was_not_waited_for_finds_its_place_again() -> None:
    late = [(10_000, "x"), (19_900, "y"), (19_990, "b"), (20_500, "c")]
    steps = [("caller", at, frame(letter)) for at, letter in late]
    left, right, placement = play([("caller", 0, frame("a")), ("clear", 30_000), *steps])
    assert runs(left) == "a20 ~19980 b20 ~480 c20 ~9480"
    assert right == b"\xff" * len(left)
    assert placement.caller.dropped == 2 * FRAME


def test_little_is_held_back() -> None:
    placement = Placement()
    for at_ms in range(0, 60_000, 20):
        placement.caller_audio(at_ms, frame("a"))
        placement.take()
        held = sum(len(audio) for _, audio in placement.caller.pieces)
        assert held <= 2 * HOLD + BLOCK + FRAME


@given(
    audio=st.binary(min_size=1, max_size=40_000),
    sizes=st.lists(st.integers(1, 1200), min_size=1, max_size=30),
    waver=st.lists(st.integers(-18, 18), min_size=1, max_size=30),
    begin_ms=st.integers(20, 300),
)
def test_what_arrives_in_a_row_is_kept_to_the_byte(
    audio: bytes, sizes: list[int], waver: list[int], begin_ms: int
) -> None:
    steps: list[tuple[Any, ...]] = []
    position = count = 0
    while position < len(audio):
        piece = audio[position : position + sizes[count % len(sizes)]]
        off = waver[count % len(waver)] if count else 0
        steps.append(("caller", begin_ms + position // 8 + off, piece))
        position += len(piece)
        count += 1
    left, right, placement = play(steps)
    assert left == b"\xff" * (8 * begin_ms) + audio
    assert right == b"\xff" * len(left)
    assert placement.caller.dropped == 0


@given(st.data())
def test_frames_lost_doubled_and_out_of_order_stand_where_they_belong(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 400))
    fates = data.draw(st.lists(st.sampled_from([0, 1, 1, 1, 2]), min_size=count, max_size=count))
    delays = data.draw(st.lists(st.integers(0, 40), min_size=2 * count, max_size=2 * count))
    arrivals = [
        (number + delays[2 * number + copy], number) for number, fate in enumerate(fates) for copy in range(fate)
    ]
    arrivals.sort(key=lambda arrival: arrival[0])
    ahead_ms = data.draw(st.integers(0, 1500))  # how far the agent's clock is ahead of the caller's timestamps
    steps: list[tuple[Any, ...]] = []
    for arrived, number in arrivals:
        steps += [("clear", 20 * arrived + ahead_ms), ("caller", 20 * number, bytes([number % 255]) * FRAME)]
    left, _, _ = play(steps)
    expected = bytearray(b"\xff" * len(left))
    for _, number in arrivals:
        expected[number * FRAME : (number + 1) * FRAME] = bytes([number % 255]) * FRAME
    assert left == bytes(expected)


class Phone:
    """Plays what it is given, sample by sample: the simplest model there is."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.queue = bytearray()

    def until(self, position: int) -> None:
        while len(self.heard) < position:
            if self.queue:
                count = min(len(self.queue), position - len(self.heard))
                self.heard += self.queue[:count]
                del self.queue[:count]
            else:
                self.heard += b"\xff" * (position - len(self.heard))


moves = st.lists(
    st.tuples(
        st.integers(0, 16_000), st.sampled_from(["agent", "agent", "agent", "clear"]), st.integers(1, 30_000)
    ),
    max_size=40,
)


@settings(deadline=None)  # some examples are minutes of audio
@given(moves=moves, lag_ms=st.integers(-150, 800))
def test_the_right_side_is_what_a_phone_plays(moves: list[tuple[int, str, int]], lag_ms: int) -> None:
    phone = Phone()
    steps: list[tuple[Any, ...]] = []
    position, spoken_ms = 0, 0
    for number, (wait, what, size) in enumerate(moves):
        position += wait
        while spoken_ms + 20 <= position / 8 - lag_ms:  # the caller's audio comes all the time, a little late
            steps.append(("caller", spoken_ms, frame("z")))
            spoken_ms += 20
        phone.until(position)
        if what == "agent":
            audio = bytes([number]) * size
            phone.queue += audio
            steps.append(("agent", position / 8, audio))
        else:
            phone.queue.clear()
            steps.append(("clear", position / 8))
    left, right, _ = play(steps)
    phone.until(max(position, spoken_ms * 8))
    assert right == bytes(phone.heard)
    assert len(left) == len(right)


PAUSES: dict[str, tuple[list[tuple[Any, ...]], str, str]] = {
    "exact within a frame": (
        [("caller", 0, frame("a", 100)), ("pause", 33.5), ("resume", 60.25)],
        "a33.5 ~26.75 a39.75",
        "~100",
    ),
    "what was handed over before sounds no longer": (
        [("agent", 0, frame("b", 300)), ("pause", 100), ("resume", 200), ("caller", 380, frame("z"))],
        "~380 z20",
        "b100 ~100 b100 ~100",
    ),
    "what was said before and comes later is kept": (
        [("caller", 0, frame("a")), ("pause", 40), ("caller", 20, frame("b")), ("caller", 40, frame("c"))],
        "a20 b20 ~20",
        "~60",
    ),
    "what was said in the pause and comes behind it is not": (
        [("pause", 20), ("resume", 60), *(("caller", at, frame("a")) for at in (0, 20, 40, 60))],
        "a20 ~40 a20",
        "~80",
    ),
    "twice is once": (
        [("pause", 20), ("pause", 40), ("resume", 60), ("resume", 80), ("caller", 0, frame("a", 100))],
        "a20 ~40 a40",
        "~100",
    ),
    "to the end": ([("caller", 0, frame("a", 60)), ("pause", 20)], "a20 ~40", "~60"),
    "from the start": ([("pause", 0), ("caller", 0, frame("a", 60)), ("resume", 40)], "~40 a20", "~60"),
    "a resume without a pause": ([("resume", 10), ("caller", 0, frame("a", 60))], "a60", "~60"),
    "backwards": ([("pause", 40), ("resume", 10), ("caller", 0, frame("a", 60))], "a60", "~60"),
}


@pytest.mark.parametrize("name", PAUSES)
def test_a_pause(name: str) -> None:
    steps, caller, agent = PAUSES[name]
    left, right, placement = play(steps)
    assert (runs(left), runs(right)) == (caller, agent)
    assert placement.caller.dropped == 0


@given(
    switches=st.lists(st.integers(0, 20_000), min_size=1, max_size=12, unique=True),
    clears=st.lists(st.integers(0, 1000), max_size=5),
)
def test_a_pause_takes_away_and_moves_nothing(switches: list[int], clears: list[int]) -> None:
    switches.sort()
    steps: list[tuple[Any, ...]] = []
    for number in range(1000):
        steps.append(("caller", 20 * number, bytes([number % 250]) * FRAME))
        if number % 50 == 0:
            steps.append(("agent", 20 * number, bytes([number % 250]) * FRAME * 40))
        if number in clears:
            steps.append(("clear", 20 * number))
    whole = play(steps)
    mute = {at: ("pause" if count % 2 == 0 else "resume") for count, at in enumerate(switches)}
    moments = sorted([*((step[1], 1, step) for step in steps), *((at, 0, (what, at)) for at, what in mute.items())])
    left, right, _ = play([step for _, _, step in moments])
    ends = [*switches, len(whole[0]) // 8 + 1]
    for heard, expected in ((left, whole[0]), (right, whole[1])):
        wanted = bytearray(expected)
        for start, stop in zip(ends[::2], ends[1::2], strict=False):
            wanted[8 * start : 8 * stop] = b"\xff" * len(wanted[8 * start : 8 * stop])
        assert heard == bytes(wanted)


def test_long_pieces_are_held_as_they_are_and_short_ones_as_one() -> None:
    track = Placement().caller
    message = b"m" * 640
    track.place(0, message, 0)
    for number in range(3):
        track.place(80 + 20 * number, bytes([number]) * 160, 0)
    track.place(140, message, 0)
    assert [(start, len(audio)) for start, audio in track.pieces] == [(0, 640), (640, 480), (1120, 640)]
    assert track.pieces[0][1] is message
    assert track.pieces[2][1] is message
