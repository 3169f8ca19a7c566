"""Query parameters of the two sockets."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.errors import ProtocolError
from bridge.stt.cartesia_query import ManualParameters, TurnsParameters, TurnThresholds


def test_what_is_not_set_is_left_out() -> None:
    assert TurnsParameters().query() == "model=ink-2&encoding=pcm_mulaw&sample_rate=8000"
    assert ManualParameters(language="en").query() == "model=ink-2&encoding=pcm_mulaw&sample_rate=8000&language=en"


def test_every_parameter_there_and_back() -> None:
    turns = TurnsParameters(
        model="ink-2",
        encoding="pcm_s16le",
        sample_rate=16000,
        keyterms=("Acme Dental", "50% off + more", "Zoë"),
        thresholds=TurnThresholds(0.7, 0.5, 0.1, 3000),
        cartesia_version="2026-03-01",
    )
    assert TurnsParameters.parse(turns.query()) == turns
    manual = ManualParameters("ink-whisper", "pcm_alaw", 8000, "es", ("uno",), 0.2, 1.5, "2026-03-01")
    assert ManualParameters.parse(manual.query()) == manual


def test_key_terms_are_repeated_and_their_spaces_are_percent_encoded() -> None:
    query = TurnsParameters(keyterms=("Acme Dental", "a+b")).query()
    assert query.endswith("&keyterm=Acme%20Dental&keyterm=a%2Bb")


def test_names_of_the_threshold_parameters() -> None:
    query = TurnsParameters(thresholds=TurnThresholds(0.7, 0.5, 0.1, 11200)).query()
    assert query.endswith(
        "&turn_start_threshold=0.7&turn_eager_end_threshold=0.5&turn_end_threshold=0.1&turn_end_timeout_ms=11200"
    )


def test_parameters_of_other_names_are_ignored() -> None:
    query = "model=ink-2&encoding=pcm_mulaw&sample_rate=8000&access_token=secret&x=1"
    assert TurnsParameters.parse(query) == TurnsParameters()


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("encoding=pcm_mulaw&sample_rate=8000", "model"),
        ("model=ink-2&sample_rate=8000", "encoding"),
        ("model=ink-2&encoding=mp3&sample_rate=8000", "encoding"),
        ("model=ink-2&encoding=pcm_mulaw", "sample_rate"),
        ("model=ink-2&encoding=pcm_mulaw&sample_rate=8k", "sample_rate"),
        ("model=ink-2&encoding=pcm_mulaw&sample_rate=-1", "sample_rate"),
        ("model=ink-2&encoding=pcm_mulaw&sample_rate=8000&keyterm=", "key term"),
        ("model=ink-2&encoding=pcm_mulaw&sample_rate=8000&turn_start_threshold=x", "turn_start_threshold"),
        ("model=ink-2&encoding=pcm_mulaw&sample_rate=8000&turn_start_threshold=nan", "turn_start_threshold"),
    ],
)
def test_bad_queries_name_the_parameter(query: str, word: str) -> None:
    with pytest.raises(ProtocolError, match=word) as caught:
        TurnsParameters.parse(query)
    assert caught.value.code == "bad_parameter"


@pytest.mark.parametrize(
    "thresholds",
    [
        {"start_threshold": 0.95},
        {"start_threshold": 0.4},
        {"eager_end_threshold": 0.7},
        {"end_threshold": 0.01},
        {"end_timeout_ms": 639},
        {"end_threshold": 0.45},  # over the default eager end
        {"start_threshold": 0.5, "eager_end_threshold": 0.5},
        {"start_threshold": 0.5, "eager_end_threshold": 0.6},
        {"eager_end_threshold": 0.3, "end_threshold": 0.3},
    ],
)
def test_thresholds_out_of_range_or_order(thresholds: dict[str, float]) -> None:
    with pytest.raises(ProtocolError, match=r"threshold|timeout"):
        TurnsParameters(thresholds=TurnThresholds(**thresholds))


def test_thresholds_count_together_with_what_was_set_before() -> None:
    before = TurnThresholds(start_threshold=0.6)
    after = before.updated(TurnThresholds(eager_end_threshold=0.5))
    after.check()
    assert after == TurnThresholds(0.6, 0.5)
    assert after.filled() == TurnThresholds(0.6, 0.5, 0.2, 5600)
    with pytest.raises(ProtocolError):
        before.updated(TurnThresholds(eager_end_threshold=0.6)).check()


@pytest.mark.parametrize("kind", [TurnsParameters, ManualParameters])
def test_limits_of_key_terms(kind: Any) -> None:
    kind(keyterms=("x" * 12,) * 100)
    with pytest.raises(ProtocolError, match="101 key terms"):
        kind(keyterms=("x",) * 101)
    with pytest.raises(ProtocolError, match="1201 characters"):
        kind(keyterms=("x" * 1201,))


def test_limits_of_the_manual_socket() -> None:
    with pytest.raises(ProtocolError, match="min_volume"):
        ManualParameters(min_volume=1.1)
    with pytest.raises(ProtocolError, match="max_silence_duration_secs"):
        ManualParameters(max_silence_duration_secs=0)
