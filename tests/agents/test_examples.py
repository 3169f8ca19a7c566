"""The agents that the README shows, run as they are written there."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from bridge.agents.webhook.agent import WebhookAgent
from bridge.agents.webhook.wire import build_headers, encode_question
from bridge.conversation.actions import Action, HangUp, Say
from tests.agents.asking import ENDED, STARTED, TURN, hear, turn

EXAMPLES = Path(__file__).parent / "examples"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed, so the Node example cannot run")
KINDS = [
    pytest.param((sys.executable, "webhook_agent.py"), id="python"),
    pytest.param((NODE or "node", "webhook_agent.mjs"), id="node", marks=needs_node),
]
SECRET = "a plain secret"


@asynccontextmanager
async def running(command: tuple[str, str], port: int) -> AsyncIterator[WebhookAgent]:
    """Run an example and ask it with signed questions."""
    program, script = command
    process = await asyncio.create_subprocess_exec(
        program,
        str(EXAMPLES / script),
        env={**os.environ, "PORT": str(port), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20)  # both say where they listen, once they do
        agent = WebhookAgent(f"http://127.0.0.1:{port}/", secret=SECRET)
        try:
            yield agent
        finally:
            await agent.close()
    finally:
        process.kill()
        await process.communicate()


def spoken(actions: list[Action]) -> str:
    return "".join(action.text for action in actions if isinstance(action, Say))


@pytest.mark.parametrize("command", KINDS)
async def test_an_example_holds_a_talk(command: tuple[str, str], unused_tcp_port: int) -> None:
    async with running(command, unused_tcp_port) as agent:
        assert spoken(await hear(agent, STARTED)).startswith("Hello!")
        answer = await hear(agent, TURN)
        assert len(answer) > 1, "spoken as it comes"
        assert spoken(answer) == (
            "You said:  What are your hours? That is interesting. Tell me more, or say good-bye."
        )
        assert await hear(agent, turn(transcript="Okay, bye.")) == [Say("Good-bye!"), HangUp()]
        assert await hear(agent, ENDED) == []


@pytest.mark.parametrize("command", KINDS)
async def test_an_example_survives_interruptions(command: tuple[str, str], unused_tcp_port: int) -> None:
    async with running(command, unused_tcp_port) as agent:
        for _ in range(3):
            async with aclosing(agent.ask(TURN)) as pieces:
                assert await anext(pieces) == Say("You said: ")
        assert spoken(await hear(agent, STARTED)).startswith("Hello!")


def signed(*, now: float, secret: str = SECRET) -> tuple[dict[str, str], bytes]:
    body = encode_question(turn(transcript="Grüße"))
    return build_headers(TURN, body, key=secret.encode(), now=now, version="1"), body


REQUESTS = [
    pytest.param(*signed(now=time.time()), True, id="signed"),
    pytest.param(*signed(now=time.time(), secret="another"), False, id="wrong secret"),
    pytest.param(*signed(now=time.time() - 3600), False, id="an hour old"),
    pytest.param(signed(now=time.time())[0], b"{}", False, id="another body"),
]


@pytest.mark.parametrize(("headers", "body", "accepted"), REQUESTS)
def test_the_signature_check_in_python(headers: dict[str, str], body: bytes, *, accepted: bool) -> None:
    spec = importlib.util.spec_from_file_location("signature_example", EXAMPLES / "signature.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.comes_from_my_bridge(SECRET, headers, body) is accepted


@needs_node
@pytest.mark.parametrize(("headers", "body", "accepted"), REQUESTS)
async def test_the_signature_check_in_node(headers: dict[str, str], body: bytes, *, accepted: bool) -> None:
    script = (
        f"import {{ comesFromMyBridge }} from {json.dumps((EXAMPLES / 'signature.mjs').as_uri())};"
        "const [secret, headers, body] = JSON.parse(process.argv[1]);"
        "console.log(comesFromMyBridge(secret, headers, Buffer.from(body)));"
    )
    process = await asyncio.create_subprocess_exec(
        NODE or "node",
        "--input-type=module",
        "--eval",
        script,
        json.dumps([SECRET, headers, body.decode()]),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == str(accepted).lower()
