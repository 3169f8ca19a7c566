"""What the API's own description allows, and much that it does not, asked of a bridge with calls in it."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.api.kept_world import ONE, kept

ENDLESS = ("/api/v1/events", "/api/v1/calls/{call}/listen")
NOT_JUDGED = (
    "ignored_auth",  # Without a token this machine may do all, whatever else it brings along.
    "object_level_authorization",
    "positive_data_acceptance",  # What is a text by the schema may be no phone number, and no cursor of ours.
)


@pytest.mark.timeout(180)
async def test_nothing_that_is_asked_is_answered_with_a_server_error(tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(f'[parameters]\n"path.call" = "{ONE}"\n"path.sid" = "CA{ONE}"\n')
    left_out = [word for path in ENDLESS for word in ("--exclude-path", path)]
    async with kept(tmp_path / "calls") as it:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
            *("run", it.url + "/api/openapi.json", *left_out),
            *("--exclude-checks", ",".join(NOT_JUDGED), "--phases", "examples,fuzzing", "--max-examples", "3"),
            *("--suppress-health-check", "all", "--seed", "5", "--no-shrink"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said, _ = await process.communicate()
        await it.json("/calls")  # It is still there.
    assert process.returncode == 0, said.decode()
    tested = re.search(r"Tested: (\d+)", said.decode())
    assert tested, said.decode()
    assert int(tested[1]) > 25
