"""Apps written for ConversationRelay, unchanged, with the bridge in Twilio's place."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from bridge.agents.base import AttendingAgent, Interruption, Message
from bridge.agents.relay import agent as conversation_relay
from bridge.agents.relay.agent import RelayAgent
from bridge.agents.relay.talk import Manners
from bridge.agents.relay.wire import session_id
from bridge.conversation.actions import HandOff, Play, Say, SendDigits, Set, Tuning
from bridge.errors import AgentError
from bridge.tasks import spawn
from bridge.twilio.signature import sign
from tests.agents.asking import CALL
from tests.agents.relay.apps.clinic import clinic
from tests.agents.relay.apps.hotel import ANSWERS, hotel
from tests.agents.relay.bench import OPTIONS, CallSide, serving
from tests.agents.relay.scripted import Scripted, scripted

__all__ = ["scripted"]

TOKEN = "0123456789abcdef0123456789abcdef"
SIGNED = replace(OPTIONS, sign=lambda url: sign(TOKEN, url, ()))

SETUP = {
    "type": "setup",
    "sessionId": session_id(CALL.id),
    "accountSid": "AC" + "1" * 32,
    "parentCallSid": "",
    "callSid": CALL.sid,
    "from": CALL.caller,
    "to": CALL.called,
    "forwardedFrom": "",
    "callType": "PSTN",
    "callerName": "",
    "direction": "inbound",
    "callStatus": "RINGING",
    "customParameters": {"campaign": "spring"},
}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_relay, "QUIET_S", 0.1)


def said(actions: list[Any]) -> str:
    return "".join(action.text for action in actions if isinstance(action, Say))


# --- the apps -------------------------------------------------------------------------------------------------


async def test_an_app_on_aiohttp_holds_a_call_and_is_told_what_twilio_tells(aiohttp_server: AiohttpServer) -> None:
    log: list[dict[str, Any]] = []
    closed: list[int | None] = []
    server = await aiohttp_server(hotel(TOKEN, log, closed, bell="https://hotel.example.com/bell.wav"))
    agent = RelayAgent(
        str(server.make_url("/relay?desk=2")),
        options=replace(SIGNED, manners=Manners(partials=True)),
    )
    call = CallSide(agent)
    ear = call.attendant

    assert await call.begin() == []
    ear.partial(" Have you")
    ear.partial(" Have you a room?")
    assert said(await call.say(" Have you a room?")) == ANSWERS["room"] + " "
    ear.interrupted("Yes, room twelve is free", 1240)
    assert await call.all_of(call.say("I have a key."), 2) == [
        Say(ANSWERS["key"], barge_in="never"),
        Play("https://hotel.example.com/bell.wav", barge_in="never"),
    ]
    for digit in "4071":
        ear.key(digit, over_speech=False)
    assert await call.all_of(call.volunteered(), 2) == [Say("Thank you, 4 0 7 1."), SendDigits("1w2#")]
    assert await call.hear(call.question("digits", digits="4071")) == []
    assert await call.all_of(call.say("Speak French, please."), 2) == [
        Set(language="fr", tuning=Tuning(language="fr")),
        Say(ANSWERS["french"], language="fr"),
    ]
    assert await call.hear(call.question("silence")) == []
    assert said(await call.say("mumble")) == "Pardon?"
    assert await call.all_of(call.say("Give me a person."), 2) == [
        Say("I'll get somebody."),
        HandOff('{"reason": "wants a person"}'),
    ]
    await call.end()

    assert log == [
        SETUP,
        {"type": "prompt", "voicePrompt": "Have you", "lang": "en-US", "last": False},
        {"type": "prompt", "voicePrompt": "Have you a room?", "lang": "en-US", "last": False},
        {"type": "prompt", "voicePrompt": "Have you a room?", "lang": "en-US", "last": True},
        {
            "type": "interrupt",
            "utteranceUntilInterrupt": "Yes, room twelve is free",
            "durationUntilInterruptMs": 1240,
        },
        {"type": "prompt", "voicePrompt": "I have a key.", "lang": "en-US", "last": True},
        *({"type": "dtmf", "digit": digit} for digit in "4071"),
        {"type": "prompt", "voicePrompt": "Speak French, please.", "lang": "en-US", "last": True},
        {"type": "prompt", "voicePrompt": "mumble", "lang": "fr-FR", "last": True},
        {
            "type": "error",
            "description": 'Invalid message received: {"type": "shout", "text": "no such type"}',
        },
        {"type": "prompt", "voicePrompt": "Give me a person.", "lang": "fr-FR", "last": True},
    ]
    assert closed == [1000]
    facts = agent.session(CALL.sid)
    assert facts is not None
    assert (facts.id, facts.status, facts.error_code) == (session_id(CALL.id), "ended", "")


async def test_an_app_on_fastapi_that_never_ends_its_talk_cycles_holds_a_call() -> None:
    sessions: list[list[dict[str, Any]]] = []
    async with serving(clinic(TOKEN, sessions)) as host:
        agent = RelayAgent(f"ws://{host}/cr/north", options=replace(SIGNED, parameters={"name": "Ann"}))
        call = CallSide(agent)

        assert await call.begin() == [Say("Hello Ann.")]
        assert said(await call.say("I need a doctor.")) == "You said: I need a doctor. Which day suits you? "
        call.attendant.interrupted("You said: I need", 900)
        assert said(await call.say("Friday.")) == "You said: Friday. Which day suits you? "
        assert await call.say("Good-bye.") == [HandOff()]
        await call.end()

        (session,) = sessions
        assert session[0] == {"tenant": "north"}
        assert session[1]["customParameters"] == {"name": "Ann", "campaign": "spring"}
        assert [message.get("type") for message in session[2:-1]] == ["prompt", "interrupt", "prompt", "prompt"]


async def test_an_app_that_does_not_know_the_token_refuses_the_handshake(aiohttp_server: AiohttpServer) -> None:
    server = await aiohttp_server(hotel("another token", [], []))
    agent = RelayAgent(str(server.make_url("/relay")), options=SIGNED)
    call = CallSide(agent)

    with pytest.raises(AgentError, match=r"status 403; it may check .* relay\.auth_token") as failed:
        await call.begin()
    assert failed.value.code == "agent_status"
    assert TOKEN not in failed.value.message
    await agent.close()


# --- answers --------------------------------------------------------------------------------------------------


def test_a_relay_agent_attends_calls() -> None:
    assert isinstance(RelayAgent("ws://127.0.0.1:1/"), AttendingAgent)


async def test_words_that_come_after_the_answer_are_volunteered(scripted: Scripted) -> None:
    call, app = await scripted.call()
    asked = spawn(call.say("Is it open?"), name="asked")
    await app.until(2)
    await app.say("Let me see. ")
    assert await asked == [Say("Let me see. ")]
    assert not call.floor.is_set()

    await app.say("It is open.", last=True)
    assert await call.volunteered() == [Say("It is open.")]


async def test_an_app_that_answers_nothing_has_nothing_to_say(scripted: Scripted) -> None:
    call, app = await scripted.call(timeout_seconds=0.1)

    assert await call.say("Hello?") == []
    await app.say("Hello at last.", last=True)
    assert await call.volunteered() == [Say("Hello at last.")]


async def test_what_waited_is_said_before_the_answer_to_a_prompt(scripted: Scripted) -> None:
    call, app = await scripted.call()
    await app.say("By the way. ", last=True)
    await asyncio.wait_for(call.floor.wait(), 2)
    asked = spawn(call.say("What?"), name="asked")
    await app.until(2)
    await app.say("Nothing.", last=True)

    assert said(await asked) == "By the way. Nothing."


async def test_later_text_takes_the_place_of_text_that_may_be_replaced(scripted: Scripted) -> None:
    call, app = await scripted.call()
    asked = spawn(call.say("Where is it?"), name="asked")
    await app.until(2)
    await app.say("Still looking.", last=True, preemptible=True)
    await app.say("Found it.", last=True)

    assert await asked == [Say("Still looking.", preemptible=True)]
    assert await call.volunteered() == [Say("Found it.")]


async def test_an_answer_that_nobody_heard_is_reported_as_cut_off_before_the_next_prompt(
    scripted: Scripted,
) -> None:
    call, app = await scripted.call()
    asked = spawn(call.say("I want"), name="asked")
    await app.until(2)
    await app.say("You want what?", last=True)
    assert said(await asked) == "You want what?"

    asked = spawn(call.say(" a room.", transcript="I want a room."), name="asked")
    got = await app.until(4)
    await app.say("Surely.", last=True)
    assert said(await asked) == "Surely."
    assert got[2:] == [
        {"type": "interrupt", "utteranceUntilInterrupt": "", "durationUntilInterruptMs": 0},
        {"type": "prompt", "voicePrompt": "a room.", "lang": "en-US", "last": True},
    ]


async def test_the_rest_of_an_answer_that_was_given_up_is_not_said(scripted: Scripted) -> None:
    call, app = await scripted.call()
    answer = call.agent.ask(call.question("turn.ended", transcript="Tell me."))
    first = spawn(anext(answer), name="asked")
    await app.until(2)
    await app.say("Well, ")
    assert await first == Say("Well, ")
    await answer.aclose()
    await app.say("it is a long story.", last=True)
    await app.say("New.", last=True)

    assert await call.volunteered() == [Say("New.")]


async def test_an_answer_that_was_cut_off_by_what_was_no_speech_is_asked_for_again(scripted: Scripted) -> None:
    call, app = await scripted.call()
    asked = spawn(call.say("When?"), name="asked")
    await app.until(2)
    await app.say("At nine.", last=True)
    await asked
    call.attendant.interrupted("", 0)
    asked = spawn(call.hear(call.question("turn.ended", transcript="When?")), name="asked")
    await app.until(4)
    await app.say("At nine.", last=True)

    assert said(await asked) == "At nine."
    assert [message["type"] for message in app.got] == ["setup", "prompt", "interrupt", "prompt"]


async def test_there_is_no_interruption_where_nothing_was_said(scripted: Scripted) -> None:
    call, app = await scripted.call(timeout_seconds=0.05)
    await call.say("I want")
    call.attendant.interrupted("", 0)
    await call.say(" a room.", transcript="I want a room.")

    got = await app.until(3)
    assert [message.get("voicePrompt") for message in got] == [None, "I want", "a room."]


async def test_the_same_turn_is_told_once(scripted: Scripted) -> None:
    call, app = await scripted.call(timeout_seconds=0.05)
    await call.say("Hello?")
    await call.hear(call.question("turn.ended", transcript="Hello?"))
    call.attendant.key("1", over_speech=False)

    assert [message["type"] for message in await app.until(3)] == ["setup", "prompt", "dtmf"]


async def test_the_end_of_a_session_is_not_lost_when_the_last_words_are_cut_off(scripted: Scripted) -> None:
    call, app = await scripted.call()
    asked = spawn(call.say("That's all."), name="asked")
    await app.until(2)
    await app.say("Good-bye.", last=True)
    await app.send(type="end", handoffData="x")
    assert await call.all_of(asked, 2) == [Say("Good-bye."), HandOff("x")]

    call.attendant.interrupted("Good", 200)
    assert await call.volunteered() == [HandOff("x")]
    assert await call.say("Wait!") == []
    assert len(app.got) == 2


# --- what the app is told ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "told"),
    [("none", []), ("speech", ["prompt"]), ("dtmf", ["dtmf"]), ("any", ["dtmf", "prompt"])],
)
async def test_input_over_speech_that_goes_on_is_told_where_it_is_wanted(
    scripted: Scripted, report: Any, told: list[str]
) -> None:
    manners = Manners(report=report)
    call, app = await scripted.call(replace(OPTIONS, manners=manners), timeout_seconds=0.05)
    call.attendant.key("1", over_speech=True)
    await call.say("Yes, yes.", over_speech=True)
    await call.say("And now?")

    got = await app.until(2 + len(told))
    assert [message["type"] for message in got] == ["setup", *told, "prompt"]
    assert got[-1]["voicePrompt"] == "And now?"


async def test_keys_are_not_told_where_they_are_not_wanted(scripted: Scripted) -> None:
    call, app = await scripted.call(replace(OPTIONS, manners=Manners(dtmf=False)), timeout_seconds=0.05)
    call.attendant.key("1", over_speech=False)
    await call.say("Hello?")

    assert [message["type"] for message in await app.until(2)] == ["setup", "prompt"]


async def test_what_is_said_is_told_as_it_grows_where_it_is_wanted(scripted: Scripted) -> None:
    call, app = await scripted.call(replace(OPTIONS, manners=Manners(partials=True)), timeout_seconds=0.05)
    ear = call.attendant
    ear.speaking("agent", on=True)
    ear.partial(" over the agent's words")
    ear.speaking("agent", on=False)
    for text in ("", " I", " I ", " I want"):
        ear.partial(text)

    got = await app.until(3)
    assert [(message["voicePrompt"], message["last"]) for message in got[1:]] == [("I", False), ("I want", False)]


async def test_events_of_the_call_are_told_where_they_are_wanted(scripted: Scripted) -> None:
    events = (conversation_relay.SPEAKER_EVENTS, conversation_relay.TOKENS_PLAYED)
    call, app = await scripted.call(replace(OPTIONS, events=events))
    call.attendant.speaking("caller", on=True)
    call.attendant.speaking("agent", on=False)
    call.attendant.played("Good ")

    assert (await app.until(4))[1:] == [
        {"type": "info", "name": "clientSpeaking", "value": "on"},
        {"type": "info", "name": "agentSpeaking", "value": "off"},
        {"type": "info", "name": "tokensPlayed", "value": "Good "},
    ]


async def test_events_are_kept_from_an_app_that_did_not_ask(scripted: Scripted) -> None:
    call, app = await scripted.call()
    call.attendant.speaking("caller", on=True)
    call.attendant.played("Good ")
    call.attendant.partial("Hm")
    call.attendant.interrupted("Good", 100)

    assert [message["type"] for message in await app.until(2)] == ["setup", "interrupt"]


async def test_a_call_that_is_not_attended_tells_of_keys_with_its_question(scripted: Scripted) -> None:
    call, _ = await scripted.call()
    await call.end()
    agent = scripted.agent()
    asked = spawn(call.hear(call.question("digits", digits="12")), name="asked")
    call.agent = agent
    app = await scripted.app.connected()
    await app.until(3)
    await app.say("Twelve.", last=True)

    assert await asked == [Say("Twelve.")]
    assert [message.get("digit") for message in app.got] == [None, "1", "2"]


async def test_a_caller_who_hangs_up_closes_the_session(scripted: Scripted) -> None:
    call, app = await scripted.call()
    live = call.agent.session(CALL.sid)
    await call.end()

    over = call.agent.session(CALL.sid)
    assert live is not None
    assert over is not None
    assert (live.status, over.status, over.duration_s) == ("completed", "completed", 0)
    assert call.agent.session("CA0") is None
    async with asyncio.timeout(2):
        while not scripted.app.closed:  # noqa: ASYNC110  The server's handler ends a moment later.
            await asyncio.sleep(0.001)
    assert scripted.app.closed == [1000]
    assert app.socket.closed


# --- after a crash --------------------------------------------------------------------------------------------


async def test_an_app_is_told_what_is_new_since_the_process_died_that_told_it_the_rest(scripted: Scripted) -> None:
    call, app = await scripted.call()
    assert (app.got[0]["sessionId"], app.got[0]["callSid"]) == (session_id(CALL.id), CALL.sid)
    call.messages += [Message("user", text) for text in ("A room.", "For two.", "With a bath.")]
    question = call.question("turn.ended", transcript="For two. With a bath.", turn=3)
    asking = spawn(call.hear(replace(question, interrupted=Interruption("That is", ""))), name="asking")
    assert (await app.until(3))[1:] == [
        {"type": "interrupt", "utteranceUntilInterrupt": "That is", "durationUntilInterruptMs": 0},
        {"type": "prompt", "voicePrompt": "For two. With a bath.", "lang": "en-US", "last": True},
    ]
    await app.say("That is room twelve.", last=True)
    assert said(await asking) == "That is room twelve."
    assert await call.say("Fine.", turn=4) == []
    assert (await app.until(4))[3]["voicePrompt"] == "Fine."


async def test_after_a_crash_keys_are_told_that_the_app_may_have_answered_in_vain(scripted: Scripted) -> None:
    call, app = await scripted.call()
    await call.hear(call.question("digits", digits="4"))
    await call.hear(call.question("digits", digits="5"))
    assert (await app.until(2))[1:] == [{"type": "dtmf", "digit": "4"}]
