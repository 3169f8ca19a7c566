from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.agents.base import Question
from bridge.agents.python import PythonAgent, load_function
from bridge.conversation.actions import Action, HangUp, Note, Say, Set, Tuning
from bridge.errors import AgentError, SettingsError
from bridge.tasks import spawn
from tests.agents.asking import TURN, hear

MODULE = "an_agent_of_the_tests"


@pytest.fixture
def agent_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PythonAgent]:
    """Put a function into a module, and make the agent that names it."""

    def make(function: Any, *, timeout_seconds: float | None = None) -> PythonAgent:
        module = types.ModuleType(MODULE)
        module.agent = function  # type: ignore[attr-defined]  # a module made up here
        monkeypatch.setitem(sys.modules, MODULE, module)
        return PythonAgent(f"{MODULE}:agent", timeout_seconds=timeout_seconds)

    return make


Make = Callable[..., PythonAgent]


async def test_a_generator_yields_text_and_actions(agent_of: Make) -> None:
    async def agent(question: Question) -> AsyncIterator[str | Action]:
        yield "You said"
        yield ""
        yield question.transcript
        yield Note({"n": 1})
        yield HangUp()

    assert await hear(agent_of(agent), TURN) == [Say("You said"), Say(TURN.transcript), Note({"n": 1}), HangUp()]


@pytest.mark.parametrize(
    ("returned", "meant"),
    [
        (None, []),
        ("Hi.", [Say("Hi.")]),
        (HangUp(), [HangUp()]),
        (["Bye.", HangUp()], [Say("Bye."), HangUp()]),
    ],
)
async def test_a_coroutine_function_returns_the_whole_answer(
    agent_of: Make, returned: object, meant: list[Action]
) -> None:
    async def agent(question: Question) -> object:
        return returned

    assert await hear(agent_of(agent), TURN) == meant


async def test_an_object_and_a_partial_function_will_do(agent_of: Make) -> None:
    class Parrot:
        async def __call__(self, question: Question) -> AsyncIterator[str]:
            yield question.transcript

    async def say(word: str, question: Question) -> str:
        return word

    assert await hear(agent_of(Parrot()), TURN) == [Say(TURN.transcript)]
    assert await hear(agent_of(partial(say, "Hi.")), TURN) == [Say("Hi.")]


async def test_an_exception_is_a_crash_with_its_traceback_in_the_log(agent_of: Make) -> None:
    async def agent(question: Question) -> AsyncIterator[str]:
        yield "Let me see."
        raise KeyError(question.transcript)

    heard: list[Action] = []
    with capture_logs() as lines, pytest.raises(AgentError) as failed:
        async for action in agent_of(agent).ask(TURN):
            heard.append(action)  # noqa: PERF401 - what came before the crash counts
    assert heard == [Say("Let me see.")]
    assert (failed.value.code, failed.value.message) == (
        "agent_crashed",
        f"the agent {MODULE}:agent raised KeyError",
    )
    assert [(line["event"], line["call"], line["exc_info"]) for line in lines] == [
        ("agent_crashed", "call-1", True)
    ]


async def test_an_agent_error_of_the_function_keeps_its_code(agent_of: Make) -> None:
    async def agent(question: Question) -> str:
        raise AgentError("the model is down", code="agent_unreachable")

    with pytest.raises(AgentError, match="the model is down") as failed:
        await hear(agent_of(agent), TURN)
    assert failed.value.code == "agent_unreachable"


async def test_what_is_neither_text_nor_action_is_refused(agent_of: Make) -> None:
    async def agent(question: Question) -> AsyncIterator[object]:
        yield {"say": "Hi."}

    with pytest.raises(AgentError, match="gave a dict") as failed:
        await hear(agent_of(agent), TURN)
    assert failed.value.code == "agent_answer"


async def test_a_function_that_takes_too_long_is_timed_out_and_closed(agent_of: Make) -> None:
    closed = asyncio.Event()

    async def agent(question: Question) -> AsyncIterator[str]:
        try:
            yield "Well"
            await asyncio.Event().wait()
        finally:
            closed.set()

    with pytest.raises(AgentError, match=r"gave nothing for 0\.05 s") as failed:
        await hear(agent_of(agent, timeout_seconds=0.05), TURN)
    assert failed.value.code == "agent_timeout"
    assert closed.is_set()


async def test_a_time_out_of_its_own_is_a_crash_and_not_ours(agent_of: Make) -> None:
    async def agent(question: Question) -> str:
        raise TimeoutError

    with capture_logs(), pytest.raises(AgentError) as failed:
        await hear(agent_of(agent, timeout_seconds=5), TURN)
    assert failed.value.code == "agent_crashed"


@pytest.mark.parametrize("stubborn", [False, True], ids=["fair", "swallows the cancellation"])
@pytest.mark.parametrize("limit", [None, 30.0])
async def test_cancelling_closes_the_function(agent_of: Make, limit: float | None, *, stubborn: bool) -> None:
    waiting, closed = asyncio.Event(), asyncio.Event()
    heard: list[Action] = []

    async def agent(question: Question) -> AsyncIterator[str]:
        try:
            yield "One moment."
            waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not stubborn:
                    raise
            yield "Where was I?"
        finally:
            closed.set()

    async def listen() -> None:
        async for action in agent_of(agent, timeout_seconds=limit).ask(TURN):
            heard.append(action)  # noqa: PERF401 - kept while it goes on

    task = spawn(listen(), name="listen")
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert closed.is_set()
    assert heard == [Say("One moment.")]


def test_a_module_is_found_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agent_in_a_folder.py").write_text("async def agent(question):\n    yield 'Hi.'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    assert callable(load_function("agent_in_a_folder:agent"))


def test_a_folder_without_the_module_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called `numbers.py` there would be imported by whatever wants the standard library's from then on."""
    (tmp_path / "numbers.py").write_text("raise SystemExit('this is the file of the user')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    load_function("bridge.agents.demo:agent")
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("", "broken_agent", "wanted package.module:function"),
        ("", "broken_agent:", "wanted package.module:function"),
        ("", "no_such_agent:agent", "there is no module no_such_agent"),
        ("", "no_such.agent:agent", "there is no module no_such "),
        ("", "broken_agent:agent", "the module broken_agent has no agent"),
        ("agent = 3", "broken_agent:agent", "agent is a int, not a function"),
        ("def agent(question): ...", "broken_agent:agent", "agent is not async"),
        ("class agent:\n    async def __call__(self, question): ...", "broken_agent:agent", "agent is not async"),
        ("import no_such_package", "broken_agent:agent", "importing broken_agent failed: No module named"),
        ("def agent(:", "broken_agent:agent", "importing broken_agent failed: SyntaxError"),
        ("1 / 0", "broken_agent:agent", "importing broken_agent failed: ZeroDivisionError"),
    ],
)
def test_a_target_that_cannot_work_is_a_wrong_setting(
    source: str, target: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_agent.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_agent", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with pytest.raises(SettingsError) as refused:
        load_function(target)
    assert refused.value.message.startswith(f"agent.url (BRIDGE_AGENT__URL) is '{target}': ")
    assert told in refused.value.message


async def test_settings_can_be_changed(agent_of: Make) -> None:
    change = Set("v", "es", Tuning(keyterms=("Ann",), end_threshold=0.1), "paused")

    async def agent(question: Question) -> object:
        return [change, Say("Hola.", barge_in="never")]

    assert await hear(agent_of(agent), TURN) == [change, Say("Hola.", barge_in="never")]


def nested(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(levels - 1):
        data = {"a": data}
    return data


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (Set(), "changes nothing"),
        (Set(tuning=Tuning(end_threshold=0.9)), "from 0.05 to 0.5"),
        (Set(tuning=Tuning(end_threshold=float("nan"))), "changes nothing"),
        (Set(voice=5), "Expected `str"),  # type: ignore[arg-type]  # what a careless agent does
        (Note(nested(51)), "deeper than 50"),
        (Note(nested(100_000)), "recursion"),
        (Note({"a": "x" * 70_000}), "65536 at most"),
    ],
)
async def test_an_action_that_cannot_be_carried_out_is_told_to_its_author(
    agent_of: Make, action: Action, reason: str
) -> None:
    async def agent(question: Question) -> object:
        return action

    with pytest.raises(AgentError, match=reason) as failed:
        await hear(agent_of(agent), TURN)
    assert failed.value.code == "agent_answer"
