"""The command itself, and the examples of the README before it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from aiohttp import web

from bridge.agent_check.run import check_agent
from bridge.errors import SettingsError
from tests.agent_check.authors import SECRET, Start, always, careful

EXAMPLES = Path(__file__).parent.parent / "agents/examples"
NODE = shutil.which("node")
COMMAND = """
import functools, sys
from bridge.command_line.agent import agent
from bridge.process import guard
sys.exit(guard(functools.partial(agent.main, standalone_mode=False), debug=False))
"""


async def command(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        COMMAND,
        "check",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_it_tells_in_words_and_with_its_exit_code(start: Start) -> None:
    (well, said, _), (ill, complained, _) = await asyncio.gather(
        command(await start(careful), "--secret", SECRET), command(await start(always(status=500)))
    )
    assert (well, "Everything is well" in said, "failed" in said) == (0, True, False)
    assert (ill, "failed   greeting        it answered with status 500" in complained) == (1, True)
    assert "→ the agent failed over this request: see its own log" in complained
    assert "Callers will notice." in complained


async def test_it_tells_in_json(start: Start) -> None:
    code, out, err = await command(await start(careful), "--secret", SECRET, "--json")
    report = json.loads(out)
    assert (code, err, report["ok"], report["counts"]["failed"]) == (0, "", True, 0)
    turn = next(finding for finding in report["findings"] if finding["check"] == "turn")
    assert 0 <= turn["first_ms"] <= turn["whole_ms"]


async def test_what_is_no_url_is_told_in_one_line() -> None:
    code, out, err = await command("agent.example.com")
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert "wanted an http(s) URL" in err


async def test_a_secret_that_is_none() -> None:
    with pytest.raises(SettingsError, match="whsec_"):
        await check_agent("http://127.0.0.1:9/", secret="whsec_***")


async def test_a_url_with_a_password_is_not_shown(start: Start) -> None:
    url = (await start(always(status=204))).replace("http://", "http://me:pass@") + "?key=abc"
    report = await check_agent(url, timeout_s=1)
    assert report.url.endswith("/")
    assert "pass" not in json.dumps(report.as_dict())


async def example(*program: str, port: int) -> None:
    """Run an example of the README and try it out. For brevity it need not survive what no bridge sends."""
    process = await asyncio.create_subprocess_exec(
        *program, env={**os.environ, "PORT": str(port), "PYTHONUNBUFFERED": "1"}, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20)  # both say where they listen, once they do
        report = await check_agent(f"http://127.0.0.1:{port}/")
        unwell = [finding.check for finding in report.findings if finding.status in {"failed", "warning"}]
        assert unwell == [], report
        assert len(report.findings) > 15
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_the_examples_of_the_readme_are_well(unused_tcp_port_factory: object) -> None:
    assert callable(unused_tcp_port_factory)
    runs = [example(sys.executable, str(EXAMPLES / "webhook_agent.py"), port=unused_tcp_port_factory())]
    if NODE is not None:
        runs.append(example(NODE, str(EXAMPLES / "webhook_agent.mjs"), port=unused_tcp_port_factory()))
    await asyncio.gather(*runs)


async def test_an_agent_that_redirects_is_told_so(start: Start) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise web.HTTPFound("https://elsewhere.example.com/")

    report = await check_agent(await start(handler))
    assert "give the final address (https://elsewhere.example.com/)" in report.findings[0].remedy
