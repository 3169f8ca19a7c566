"""One page of figures for Prometheus out of those of all workers: sums, but for what cannot be added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_NOT_ADDED: Final[dict[str, Callable[[Iterable[float]], float]]] = {
    "process_start_time_seconds": min,
    "process_max_fds": min,
    "phone_bridge_loop_lag_seconds": max,
    "phone_bridge_build_info": min,
}
"""Of the bridge: when its first process began, how many files the one that may open the fewest may open, and by how
much the event loop is late that is the latest. The build is the same in all."""
_CREATED: Final = "_created"


def merged(pages: Sequence[str]) -> tuple[bytes, str]:
    """Return the figures of all workers as one page, and its content type. Raises ValueError for no such page."""
    registry = CollectorRegistry()
    registry.register(_Merged(pages))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Merged(Collector):
    def __init__(self, pages: Sequence[str]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once."""
        found: dict[str, Metric] = {}
        values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]] = {}
        for page in self._pages:
            for family in text_string_to_metric_families(page):
                found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                samples = values.setdefault(family.name, {})
                for sample in family.samples:
                    samples.setdefault((sample.name, tuple(sample.labels.items())), []).append(sample.value)
        for name, metric in found.items():
            for (sample_name, labels), numbers in values[name].items():
                together = min if sample_name.endswith(_CREATED) else _NOT_ADDED.get(sample_name, sum)
                metric.add_sample(sample_name, dict(labels), together(numbers))
            yield metric
