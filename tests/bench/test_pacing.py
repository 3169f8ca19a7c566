from __future__ import annotations

import json

from bridge.bench.pacing import NO_LIMIT_S, LeadFigures, PacingOptions, as_json, measure, table

SMALL = PacingOptions(leads_s=(0.5, 2.0, NO_LIMIT_S), stalls_ms=(100, 1000), minutes=1.5)


def rows(options: PacingOptions = SMALL) -> dict[float, LeadFigures]:
    return {row.lead_s: row for row in measure(options)}


def test_a_larger_lead_bridges_more_and_wastes_more() -> None:
    found = rows()
    short, middle, unlimited = found[0.5], found[2.0], found[NO_LIMIT_S]
    assert short.underruns[1000] > middle.underruns[1000] >= unlimited.underruns[1000]
    assert short.silence_s[1000] > middle.silence_s[1000] >= unlimited.silence_s[1000]
    assert short.underruns[1000] > short.underruns[100]
    assert 0 < short.wasted_bytes < middle.wasted_bytes < unlimited.wasted_bytes
    assert short.wasted_bytes <= short.most_wasted_bytes


def test_a_barge_in_wastes_no_more_than_the_lead_and_one_segment() -> None:
    for lead in (0.5, 2.0):
        assert rows()[lead].most_wasted_bytes <= (lead + 0.5) * 8000


def test_the_same_seed_gives_the_same_table_and_another_one_another() -> None:
    assert rows() == rows()
    other = PacingOptions(leads_s=SMALL.leads_s, stalls_ms=SMALL.stalls_ms, minutes=1.5, seed=2)
    assert rows() != rows(other)


def test_the_table_and_the_json_hold_every_lead() -> None:
    found = [*measure(SMALL)]
    lines = table(found, SMALL).splitlines()
    assert [line.split()[0] for line in lines[-3:]] == ["0.5", "2", "no"]
    assert f"{found[0].underruns[1000]:.2f}" in lines[-3]
    read = json.loads(json.dumps(as_json(found, SMALL)))
    assert [lead["lead_s"] for lead in read["leads"]] == [0.5, 2.0, NO_LIMIT_S]
    assert read["options"]["seed"] == 1
