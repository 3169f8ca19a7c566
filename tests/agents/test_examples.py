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
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.agents.python import PythonAgent
from bridge.agents.webhook.agent import WebhookAgent
from bridge.agents.webhook.wire import encode_question
from bridge.conversation.actions import Action, HangUp, Remember, Say
from tests.agents.asking import ENDED, STARTED, TURN, headers_of, hear, turn

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
    return headers_of(TURN, body, key=secret.encode(), now=now), body


REQUESTS = {
    "signed": True,
    "wrong secret": False,
    "an hour old": False,
    "another body": False,
}
"""And whether it is from the bridge."""


def request(kind: str) -> tuple[dict[str, str], bytes]:
    """Make it when it is asked for: a signature holds for a few minutes, and all the tests take longer."""
    secret = "another" if kind == "wrong secret" else SECRET
    headers, body = signed(now=time.time() - 3600 * (kind == "an hour old"), secret=secret)
    return headers, b"{}" if kind == "another body" else body


@pytest.mark.parametrize("kind", REQUESTS)
def test_the_signature_check_in_python(kind: str) -> None:
    headers, body = request(kind)
    spec = importlib.util.spec_from_file_location("signature_example", EXAMPLES / "signature.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.comes_from_my_bridge(SECRET, headers, body) is REQUESTS[kind]


@needs_node
@pytest.mark.parametrize("kind", REQUESTS)
async def test_the_signature_check_in_node(kind: str) -> None:
    headers, body = request(kind)
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
    assert output.decode().strip() == str(REQUESTS[kind]).lower()


async def test_an_agent_in_python_remembers_what_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    agent = PythonAgent("remembering_agent:agent")
    assert await hear(agent, TURN) == [Say("That was number 1."), Remember({"turns": 1})]
    assert spoken(await hear(agent, replace(STARTED, occasion="call.resumed", state={"turns": 3}))) == (
        "You have said 3 things so far. Go on, please."
    )
    sys.modules.pop("remembering_agent")
