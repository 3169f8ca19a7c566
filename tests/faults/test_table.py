"""A few cells of the fault table; `python -m tests.faults` plays all of them."""

from __future__ import annotations

import pytest

from tests.faults.catalogue import (
    BEFORE,
    CALLER_SPEAKS,
    COLD,
    FEWER,
    STATES,
    STT_STANDBY,
    THINKING,
    TTS_STANDBY,
    VOICEMAIL,
    WAYS,
    Cell,
    all_cells,
)
from tests.faults.run import play_all
from tests.faults.show import row_of
from tests.faults.voice import Heard, sentences_in, sound_of_word, words_in

EXPECTED = {
    Cell("text to speech", "drops", THINKING): ("answer", "nothing"),
    Cell("speech to text", "drops", CALLER_SPEAKS): ("answer (short)", "nothing"),
    Cell("agent", "500", THINKING): ("apology", "an answer"),
    Cell("stream", "duplicate", BEFORE): ("greeting", "nothing"),
    Cell("text to speech", "refuses", COLD): ("silence", "nothing"),
}
"""What the caller hears at once, and what is lost."""

JUDGED = (
    Cell(STT_STANDBY, "refuses", CALLER_SPEAKS),
    Cell(TTS_STANDBY, "stalls", THINKING),
    Cell(VOICEMAIL, "refuses", COLD),
)
"""Of these it is wrong if no answer is heard, or the message is not kept; when is the machine's to say."""


@pytest.mark.timeout(60)
async def test_what_callers_hear_when_something_fails() -> None:
    outcomes = await play_all([*JUDGED, *EXPECTED], at_once=len(EXPECTED), to_ask=0)
    assert {one.cell.name: one.wrong for one in outcomes if one.wrong} == {}
    seen = {one.cell: (one.heard, one.lost) for one in outcomes}
    for cell, (heard, lost) in EXPECTED.items():
        assert heard in seen[cell][0], (cell.name, seen[cell])
        assert lost in seen[cell][1], (cell.name, seen[cell])
    assert outcomes[-1].later == "carrier's voice: farewell", "without any voice there is the carrier's"
    assert all(all(row_of(one)) for one in outcomes), "no cell of the table is empty"


def test_the_table_has_every_state_of_everything_that_may_fail() -> None:
    cells = all_cells()
    states = {what: len(FEWER.get(what, STATES)) for what in WAYS}
    assert len(cells) == len(set(cells)) == sum(states[what] * len(ways) for what, ways in WAYS.items())


def test_the_voice_can_be_read_back_from_any_place_on() -> None:
    from bridge.simulator.phone import Stretch

    sound = b"".join(map(sound_of_word, ("one", "more", "moment")))
    assert [heard.word for heard in words_in([Stretch(1.0, sound)])] == ["one", "more", "moment"]
    cut = words_in([Stretch(0.0, sound[2500:]), Stretch(9.0, sound[:2000])])
    assert [(heard.word, round(heard.at_s, 2)) for heard in cut] == [("more", 0.0), ("moment", 0.19), ("one", 9.0)]
    known = {"a": "one more", "b": "one moment"}
    said = [Heard(at, at + 0.25, word) for at, word in enumerate(("one", "moment", "one", "more", "else"))]
    assert [one.what for one in sentences_in(said, known)] == ["b", "a", "unknown words"]
