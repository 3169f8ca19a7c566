"""The figures of several processes on one page."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bridge.metrics import Metrics
from bridge.workers.merging import merged


def values(page: str) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_figures_are_added_and_each_stands_there_once() -> None:
    one, other = Metrics(), Metrics()
    one.calls.labels(mode="agent").inc(2)
    other.calls.labels(mode="agent").inc(3)
    other.calls.labels(mode="log").inc()
    one.live_calls.set(1)
    other.live_calls.set(4)
    one.first_text.observe(0.25)
    other.first_text.observe(0.75)
    pages = [metrics.render()[0].decode() for metrics in (one, other)]
    page, kind = merged(pages)

    text = page.decode()
    found = values(text)
    assert kind == one.render()[1]
    assert found["phone_bridge_calls_total[('mode', 'agent')]"] == 5
    assert found["phone_bridge_calls_total[('mode', 'log')]"] == 1
    assert found["phone_bridge_live_calls[]"] == 5
    assert found["phone_bridge_first_text_seconds_count[]"] == 2
    assert found["phone_bridge_first_text_seconds_sum[]"] == 1
    assert found["phone_bridge_first_text_seconds_bucket[('le', '0.3')]"] == 1
    assert found["process_start_time_seconds[]"] == values(pages[0])["process_start_time_seconds[]"]
    assert [found[name] for name in found if name.startswith("phone_bridge_build_info")] == [1]
    assert found.keys() == values(pages[1]).keys()
    types = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert types == [line for line in pages[0].splitlines() if line.startswith("# TYPE")]
