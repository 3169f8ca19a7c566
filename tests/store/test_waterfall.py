"""The steps of an answer in ms from the end of the turn."""

from __future__ import annotations

from bridge.store.scene import Answer
from bridge.store.waterfall import Scale, Stretch, agent_stretches, caller_stretches, moments, scale


def answer(
    quiet: int | None = None,
    eager: int | None = None,
    *,
    asked: int = 10_000,
    text: int | None = 10_100,
    sent: int | None = 10_300,
    turn: bool = True,
) -> Answer:
    """A turn that ended at 10 s; audio 100 ms after the text, a mark 500 ms after it was sent."""
    audio = None if text is None else text + 100
    mark = None if sent is None else sent + 500
    return Answer(1, 10_000, asked, text, audio, sent, mark, quiet, eager, "Hi", turn)


def test_an_answer_after_the_turn() -> None:
    plain = answer(9200, 9600)
    assert caller_stretches(plain) == [Stretch("quiet", -800, -400), Stretch("eager", -400, 0)]
    assert agent_stretches(plain) == [
        Stretch("text", 0, 100),
        Stretch("audio", 100, 200),
        Stretch("sent", 200, 300),
        Stretch("mark", 300, 800),
    ]
    assert moments(plain) == [
        *(("last sound", -800), ("eager", -400), ("turn end", 0)),
        *(("text", 100), ("audio", 200), ("sent", 300), ("mark", 800)),
    ]


def test_an_answer_that_was_ready_before_the_turn_was_over() -> None:
    early = answer(9200, 9600, asked=9600, text=9650, sent=10_000)
    assert agent_stretches(early) == [
        Stretch("text", -400, -350),
        Stretch("audio", -350, -250),
        Stretch("sent", -250, 0),
        Stretch("mark", 0, 500),
    ]
    assert [name for name, _ in moments(early)] == [
        *("last sound", "eager", "text", "audio", "turn end", "sent", "mark")
    ]
    assert (early.response_ms, early.wait_ms) == (0, 800)


def test_what_is_not_known_is_left_out() -> None:
    assert caller_stretches(answer()) == []
    assert caller_stretches(answer(9200)) == [Stretch("quiet", -800, 0)]
    assert caller_stretches(answer(None, 9600)) == [Stretch("eager", -400, 0)]
    assert [part.name for part in agent_stretches(answer(sent=None))] == ["text", "audio"]
    assert moments(answer(text=None, sent=None)) == [("turn end", 0)]
    assert moments(answer(turn=False))[0] == ("asked", 0)


def test_an_eager_end_that_was_taken_back_begins_nothing() -> None:
    resumed = answer(9200, 5000)
    assert caller_stretches(resumed) == [Stretch("quiet", -800, 0)]
    assert moments(resumed)[:2] == [("false eager", -5000), ("last sound", -800)]


def test_one_scale_for_all_but_outliers() -> None:
    assert scale([answer(9200, 9600), answer(9400)]) == Scale(800, 800)
    usual = [answer(9200)] * 4
    assert scale([*usual, answer(9000, text=99_000, sent=99_900)]) == Scale(1000, 2400)
    assert scale([*usual, answer(1000)]) == Scale(2400, 800)
    assert scale([answer(text=None, sent=None)]) == Scale(0, 1)
    assert scale([answer(), answer(), answer(9200)]) == Scale(800, 800), "those without do not count as usual"
