"""Finding what is kept of a call."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.api.kept import KeptCalls
from bridge.api.own_calls import OwnCalls
from bridge.api.problems import Problem


@pytest.mark.parametrize("folder", ["/etc", "../elsewhere", "2026-01-01/../../..", ""])
async def test_a_row_cannot_name_a_folder_that_is_not_below_that_of_the_calls(tmp_path: Path, folder: str) -> None:
    async def get(_: str) -> Any:
        return SimpleNamespace(call=SimpleNamespace(id="c1", folder=folder))

    calls: Any = SimpleNamespace(get=get)
    with pytest.raises(Problem) as refused:
        await KeptCalls(calls, tmp_path, OwnCalls(), list).find("c1")
    assert (refused.value.status, refused.value.code) == (404, "file_missing")
