"""What a text-to-speech context speaks when."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.errors import ProtocolError
from bridge.speech_server.tts_context import End, FlushMark, Say, SpeechContext
from bridge.tts.cartesia_wire import Generate, GenerationConfig, OutputFormat


def request(transcript: str = "", *, more: bool = True, **fields: Any) -> Generate:
    return Generate(
        context_id="c", model_id="sonic-3", voice="en-US", transcript=transcript, continue_=more, **fields
    )


def context(**fields: Any) -> SpeechContext:
    return SpeechContext(request(**fields))


def test_pieces_become_sentences() -> None:
    speech = context()
    assert speech.add(request("Sure, ")) == []
    assert speech.waiting
    assert speech.add(request("here it is. And")) == [Say("Sure, here it is.", 1)]
    assert speech.add(request(" more.", more=False)) == [Say(" And more.", 1), End()]
    assert not speech.waiting


def test_an_empty_last_piece_ends_the_context() -> None:
    speech = context()
    speech.add(request("Bye"))
    assert speech.add(request("", more=False)) == [Say("Bye", 1), End()]
    assert context().add(request("", more=False)) == [End()]


def test_a_flush_speaks_what_waits_and_counts() -> None:
    speech = context()
    speech.add(request("One"))
    assert speech.add(request("", flush=True)) == [Say("One", 1), FlushMark(1)]
    assert speech.add(request("Two", flush=True)) == [Say("Two", 2), FlushMark(2)]


def test_without_delay_each_piece_is_spoken_at_once() -> None:
    speech = context(max_buffer_delay_ms=0)
    assert speech.add(request("One, ")) == [Say("One, ", 1), FlushMark(1)]
    assert speech.add(request("")) == []


def test_text_that_waited_long_enough_is_spoken() -> None:
    speech = context(max_buffer_delay_ms=250)
    speech.add(request("One, two"))
    assert (speech.delay_ms, speech.waiting) == (250, True)
    assert speech.overdue() == [Say("One, two", 1)]
    assert not speech.waiting
    assert speech.overdue() == []


def test_a_finished_context_takes_no_more() -> None:
    speech = context()
    speech.add(request("Bye.", more=False))
    with pytest.raises(ProtocolError, match="finished"):
        speech.add(request("More."))
    assert speech.overdue() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"output_format": OutputFormat(container="wav")},
        {"output_format": OutputFormat(encoding="pcm_s32le")},
        {"output_format": OutputFormat(sample_rate=96000)},
        {"max_buffer_delay_ms": -1},
        {"max_buffer_delay_ms": 6000},
        {"speed": "warp"},
        {"generation_config": GenerationConfig(speed=3)},
        {"generation_config": GenerationConfig(volume=0.1)},
    ],
)
def test_forbidden_values(fields: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        context(**fields)
    assert caught.value.code == "bad_parameter"


def test_speed_and_volume() -> None:
    assert context(speed="fast").speed > 1 > context(speed="slow").speed
    assert context(speed="slow", generation_config=GenerationConfig(speed=1.5, volume=2)).speed == 1.5
    assert context(generation_config=GenerationConfig(volume=2)).volume == 2
