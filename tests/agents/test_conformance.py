"""What holds for every kind of agent, whatever stands behind it."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.agents.base import Message, Question, TransferResult
from bridge.agents.registry import open_agent
from bridge.conversation.actions import Action, HangUp, Remember, Say
from bridge.errors import AgentError
from bridge.settings.agents import DEMO_AGENT
from bridge.tasks import spawn
from tests.agents import sample_package
from tests.agents.asking import CALL, CUT_IN, ENDED, STARTED, TURN, hear, turn
from tests.agents.conformance import CASES, DRIVERS, Talk, kinds, started
from tests.agents.drivers import ACTIONS, Chosen, Driver

CODES = {"agent_unreachable", "agent_timeout", "agent_status", "agent_answer", "agent_crashed"}
OCCASIONS: dict[str, Question] = {
    "call.started": STARTED,
    "turn.ended": TURN,
    "turn.ended, cut in": CUT_IN,
    "turn.ended, with keys": turn(digits="12", over_speech=True),
    "digits": turn(occasion="digits", digits="42"),
    "digits, none": turn(occasion="digits"),
    "silence": turn(occasion="silence"),
    "transfer.ended": turn(occasion="transfer.ended", transfer=TransferResult("+15550100300", "busy")),
    "message": turn(occasion="message", transcript=" Call me."),
    "volunteered": turn(occasion="volunteered"),
    "call.ended": ENDED,
    "one of tomorrow": turn(occasion="moon.rose"),
}
"""A question about everything that can happen, and about what a later version may know."""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample distribution, installed by pip into a folder of its own."""
    return sample_package.install(tmp_path_factory.mktemp("sample"))


@pytest.fixture(autouse=True)
def _sample_on_the_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(installed))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("canned_agent", None)


@pytest.fixture
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    made: Driver = request.param(tmp_path)
    return made


def of(fits: Any) -> pytest.MarkDecorator:
    """Ask it of the kinds that fit."""
    return pytest.mark.parametrize("driver", kinds(fits), indirect=True)


every = of(lambda _: True)


def words(actions: list[Action]) -> str:
    return "".join(action.text for action in actions if isinstance(action, Say))


@of(lambda kind: kind.greets)
async def test_a_call_that_begins_is_greeted(driver: Driver) -> None:
    driver.greet(Say("Good morning."))
    async with started(driver) as agent:
        assert words(await Talk(agent, CALL).ask(STARTED)).strip() == "Good morning."


@of(lambda kind: kind.answers_turns)
async def test_a_turn_is_answered_with_speech(driver: Driver) -> None:
    driver.echo()
    async with started(driver) as agent:
        talk = Talk(agent, CALL)
        await talk.begin()
        assert words(await talk.ask(TURN)).strip() == TURN.transcript.strip()


@pytest.mark.parametrize("occasion", OCCASIONS)
@every
async def test_nothing_that_happens_breaks_it(driver: Driver, occasion: str) -> None:
    async with started(driver) as agent:
        talk = Talk(agent, CALL)
        for action in await talk.ask(OCCASIONS[occasion]):
            assert isinstance(action, tuple(type(example) for example in ACTIONS.values()))
        assert isinstance(await talk.ask(turn(reply=7, turn=2)), list), "and the call goes on"


@pytest.mark.parametrize("occasion", OCCASIONS)
async def test_nothing_that_happens_breaks_the_agent_of_the_demo(occasion: str) -> None:
    agent = open_agent(Chosen("python", DEMO_AGENT))
    assert isinstance(await Talk(agent, CALL).ask(OCCASIONS[occasion]), list)


@of(lambda kind: kind.streams)
async def test_a_piece_is_handed_on_before_the_next_is_there(driver: Driver) -> None:
    go_on = asyncio.Event()
    driver.answer(Say("One. "), go_on, Say("Two."))
    heard: list[Action] = []
    async with started(driver) as agent:
        Talk(agent, CALL)
        async for action in agent.ask(driver.answered):
            heard.append(action)
            go_on.set()  # set by nothing but the first piece having been heard
    assert words(heard) == "One. Two."


@of(lambda kind: kind.streams)
async def test_cancelling_stops_the_work_at_once(driver: Driver) -> None:
    begun = asyncio.Event()
    driver.answer(Say("One. "), asyncio.Event(), Say("Two."))

    async def listen() -> None:
        async for _ in agent.ask(driver.answered):
            begun.set()

    async with started(driver) as agent:
        talk = Talk(agent, CALL)
        task = spawn(listen(), name="listen")
        await begun.wait()
        await driver.busy.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        talk.cut_in("One.")
        async with asyncio.timeout(2):
            await driver.left.wait()


@of(lambda kind: kind.streams)
async def test_an_answer_that_is_left_is_closed(driver: Driver) -> None:
    driver.answer(Say("One. "), asyncio.Event(), Say("Two."))
    async with started(driver) as agent:
        Talk(agent, CALL)
        async with aclosing(agent.ask(driver.answered)) as pieces:  # type: ignore[type-var]  # all kinds are generators
            assert words([await anext(pieces)]).strip() == "One."
        assert await asyncio.wait_for(_no_more(pieces), 2)


async def _no_more(pieces: Any) -> bool:
    return await anext(pieces, None) is None


@pytest.mark.parametrize(
    ("driver", "fault"),
    [pytest.param(kind, fault, id=f"{kind.kind}-{fault}") for kind in DRIVERS for fault in kind.faults],
    indirect=["driver"],
)
async def test_whatever_goes_wrong_is_an_error_of_the_agent(driver: Driver, fault: str) -> None:
    driver.fail(fault)
    async with started(driver) as agent:
        talk = Talk(agent, CALL)
        with capture_logs(), pytest.raises(AgentError) as failed:
            async with asyncio.timeout(3):
                await talk.ask(driver.answered)
        assert failed.value.code in CODES
        assert str(failed.value)
        assert "\n" not in failed.value.message


@of(lambda kind: kind.faults and kind.directed_later)
async def test_after_a_failure_it_is_asked_again(driver: Driver) -> None:
    driver.fail(driver.faults[0])
    async with started(driver) as agent:
        talk = Talk(agent, CALL)
        with capture_logs(), pytest.raises(AgentError):
            await talk.ask(TURN)
        driver.echo()
        assert words(await talk.ask(turn(reply=3))).strip() == TURN.transcript.strip()


@of(lambda kind: kind.answers_turns)
async def test_calls_at_the_same_time_are_kept_apart(driver: Driver) -> None:
    driver.echo()
    async with started(driver) as agent:
        asked = []
        for number in range(20):
            call = replace(CALL, id=f"call-{number}", sid=f"CA{number:032}")
            said = f"I am caller {number}"
            question = turn(call=call, transcript=said, messages=(Message("user", said),))
            asked.append(_begun_and_asked(Talk(agent, call), question))
        answers = await asyncio.gather(*asked)
        assert [words(answer).strip() for answer in answers] == [f"I am caller {number}" for number in range(20)]


async def _begun_and_asked(talk: Talk, question: Question) -> list[Action]:
    await talk.begin()
    return await talk.ask(question)


@every
async def test_the_end_of_a_call_is_taken_and_changes_nothing(driver: Driver) -> None:
    async with started(driver) as agent:
        talk = Talk(agent, CALL)
        await talk.ask(TURN)
        assert HangUp() not in await talk.ask(ENDED)
        other = replace(CALL, id="another")
        assert isinstance(await Talk(agent, other).ask(turn(call=other)), list)


@every
async def test_closing_lets_everything_go(driver: Driver) -> None:
    agent = await driver.start()
    await Talk(agent, CALL).ask(TURN)
    await agent.close()
    await agent.close()
    async with asyncio.timeout(5):
        while driver.connections():  # noqa: ASYNC110  Nobody is told when a connection is gone.
            await asyncio.sleep(0.005)
    await driver.stop()


@pytest.mark.parametrize(
    ("driver", "name"),
    [pytest.param(kind, name, id=case) for case, (kind, name) in CASES.items()],
    indirect=["driver"],
)
async def test_each_action_that_it_can_ask_for_arrives_as_it_was_meant(driver: Driver, name: str) -> None:
    action = driver.arrives.get(name, ACTIONS[name])
    if driver.kind == "echo":
        async with started(driver) as agent:
            assert await hear(agent, turn(transcript="Hello.")) == [action]
        return
    driver.answer(Say("All right. "), ACTIONS[name])
    async with started(driver) as agent:
        heard = await Talk(agent, CALL).ask(driver.answered)
    assert words(heard).strip() == ("All right. Hello." if name == "say" else "All right.")
    own = "remember" in driver.expresses  # Else the bridge has it remembered where the call stands.
    done = [piece for piece in heard if not isinstance(piece, Say) and (own or not isinstance(piece, Remember))]
    if driver.trailer is not None and done[-1] == driver.trailer:
        done.pop()
    assert done == ([] if name == "say" else [action])
