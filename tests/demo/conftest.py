"""Both demos as a user runs them. They last as long as their calls do, so they run side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.demo.running import Demo


@pytest.fixture(scope="session")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Demo]]:
    """The demo of the built-in agent (`python`) and that of the sample flow (`flow`)."""
    started = {
        agent: Demo(tmp_path_factory.mktemp(f"demo-{agent}"), *more)
        for agent, more in (("python", ()), ("flow", ("--agent", "flow")))
    }
    yield started
    for demo in started.values():
        demo.kill()
