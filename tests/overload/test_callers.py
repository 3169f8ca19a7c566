"""What the command goes by."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from bridge.metrics import Metrics
from bridge.settings.admission import OverflowKind
from bridge.settings.source import load_settings
from tests.overload.callers import DOCUMENTS, NUMBERS, Told, loop_lag_ms, refusals, wrong_documents
from tests.overload.stage import REASONS, settings


def test_every_kind_of_overflow_has_a_number_and_its_document() -> None:
    assert {*NUMBERS} == {*DOCUMENTS} == {*get_args(OverflowKind)}


@pytest.mark.parametrize("reason", REASONS)
def test_the_settings_of_each_reason_are_settings(reason: str, tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(settings(reason, 20), "utf-8")
    found = load_settings(file, environment={})
    assert [entry.overflow for entry in found.numbers] == [*NUMBERS]
    assert (found.admission.max_calls == 20) is (reason == "calls")
    expected = [20 if kind == "busy" else 2 for kind in NUMBERS] if reason == "number" else [None] * len(NUMBERS)
    assert [entry.max_calls for entry in found.numbers] == expected


def test_what_the_bridge_tells_of_itself_is_read() -> None:
    registry = Metrics()
    registry.admission_refusals.labels(reason="speech").inc(3)
    registry.loop_lag.set(0.25)
    page = registry.render()[0].decode()
    assert refusals(page)["speech"] == 3
    assert loop_lag_ms(page) == 250


def test_who_is_let_in_or_gets_another_document_is_noticed() -> None:
    told = [
        Told("busy", ("Reject",), 0.1),
        Told("queue", ("Connect",), 0.1),
        Told("sentence", ("status 500",), 0.1),
    ]
    assert wrong_documents(told) == ["queue: Connect", "sentence: status 500"]
