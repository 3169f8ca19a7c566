"""The manual endpoint's transcripts, window by window."""

from __future__ import annotations

from typing import Any

from bridge.audio.vad import WINDOW_MS
from bridge.speech_server.manual import Finalized, Finished, Flushed, ManualFinals, Preview
from bridge.speech_server.turns import Purpose, Transcribe


class Play:
    """A stream; `answer` answers the transcription that was asked for last."""

    def __init__(self, silence_ms: float = 1000) -> None:
        self.logic = ManualFinals(silence_ms=silence_ms)
        self.asked: list[Transcribe] = []

    def hear(self, ms: int, score: float) -> list[Any]:
        return [told for _ in range(round(ms / WINDOW_MS)) for told in self.take(self.logic.hear(score))]

    def speech(self, ms: int) -> list[Any]:
        return self.hear(ms, 0.95)

    def silence(self, ms: int) -> list[Any]:
        return self.hear(ms, 0.02)

    def finalize(self) -> list[Any]:
        return self.take(self.logic.finalize())

    def finish(self) -> list[Any]:
        return self.take(self.logic.finish())

    def answer(self, text: str | None) -> list[Any]:
        return self.take(self.logic.transcribed(self.asked[-1].job, text))

    def take(self, outputs: list[Any]) -> list[Any]:
        self.asked += [output for output in outputs if isinstance(output, Transcribe)]
        return [output for output in outputs if not isinstance(output, Transcribe)]


def texts(told: list[Any]) -> list[Any]:
    return [item.text if isinstance(item, Finalized | Preview) else type(item) for item in told]


def test_finalize() -> None:
    play = Play()
    play.silence(640)
    assert play.speech(640) == []
    assert play.finalize() == []
    assert texts(play.answer("Hello.")) == ["Hello.", Flushed]


def test_finals_are_deltas_with_their_space() -> None:
    play = Play()
    told = []
    for text in ("My number", "is five."):
        play.speech(640)
        play.finalize()
        told += texts(play.answer(text))
    assert told == ["My number", Flushed, " is five.", Flushed]
    assert play.asked[1].start_ms == 640


def test_finalize_without_speech_is_done_at_once() -> None:
    play = Play()
    play.silence(640)
    assert play.finalize() == [Flushed()]
    assert play.asked == []


def test_several_finals_wait_for_each_other() -> None:
    play = Play()
    play.speech(640)
    play.finalize()
    play.speech(640)
    play.finalize()
    assert play.finalize() == []
    assert len(play.asked) == 1
    assert texts(play.answer("One.")) == ["One.", Flushed]
    assert not play.logic.idle
    assert texts(play.answer("Two.")) == [" Two.", Flushed, Flushed]
    assert play.logic.idle


def test_silence_finalizes_by_itself_and_without_a_flush() -> None:
    play = Play(silence_ms=640)
    play.speech(640)
    play.silence(704)
    (job,) = play.asked
    assert job.end_ms <= 640 + 350
    assert texts(play.answer("Hello.")) == ["Hello."]
    play.silence(5000)
    assert len(play.asked) == 1


def test_long_silence_before_speech_is_not_transcribed() -> None:
    play = Play()
    play.silence(60_000)
    play.speech(640)
    play.finalize()
    (job,) = play.asked
    assert 60_000 - 600 <= job.start_ms <= 60_000 - 350
    assert play.logic.keep_from_ms == job.start_ms


def test_speech_without_a_pause_is_cut() -> None:
    play = Play()
    play.speech(18_100)
    (job,) = [job for job in play.asked if job.purpose is not Purpose.PREVIEW]
    assert job.end_ms - job.start_ms <= 18_000
    play.answer("Part one")
    play.finish()
    assert play.asked[-1].start_ms <= job.end_ms


def test_previews_are_replaced_by_finals() -> None:
    play = Play()
    play.speech(1200)
    (preview,) = play.asked
    assert preview.purpose is Purpose.PREVIEW
    assert texts(play.answer("Hel")) == ["Hel"]
    play.speech(1200)
    play.finalize()
    assert play.logic.transcribed(play.asked[-2].job, "late") == []
    assert texts(play.answer("Hello.")) == ["Hello.", Flushed]


def test_the_end() -> None:
    play = Play()
    play.speech(640)
    assert play.finish() == []
    assert texts(play.answer("Bye.")) == ["Bye.", Finished]
    assert play.finish() == []
    assert Play().finish() == [Finished()]


def test_a_recogniser_that_fails_gives_no_text_but_an_end() -> None:
    play = Play()
    play.speech(640)
    play.finalize()
    assert play.answer(None) == [Flushed()]


def test_where_the_speech_lies_in_a_final() -> None:
    play = Play()
    play.silence(640)
    play.speech(320)
    play.silence(320)
    play.speech(320)
    play.finalize()
    (final, _) = play.answer("One two.")
    first, second = final.speech
    assert round(first[1] - first[0], 3) == round(second[1] - second[0], 3) == 0.32
    assert round(second[0] - first[1], 3) == 0.32
    assert second[1] <= final.duration
