"""A model as an agent: what it is told, what it says, what it does with the call."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bridge.agents.base import Interruption, Message, Question, TransferResult
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HangUp,
    Note,
    Play,
    RecordMessage,
    Say,
    SendDigits,
    Set,
    Transfer,
)
from bridge.errors import AgentError
from bridge.tasks import spawn
from tests.agents.asking import CALL, ENDED, STARTED, TURN, hear, turn
from tests.agents.openai.model_server import DONE, ModelServer, calls, event, says

EVERYTHING = (
    "transfer",
    "hang_up",
    "send_digits",
    "gather_digits",
    "play",
    "record_message",
    "set",
    "note",
)
TARGETS = {"sales": "+15551234567", "front desk": "sip:desk@example.com"}


def user(*lines: str) -> dict[str, str]:
    return {"role": "user", "content": "\n".join(lines)}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


# --- what it is told ---------------------------------------------------------------------------------------


async def test_the_request_holds_the_heard_conversation_the_model_and_its_limits(model: ModelServer) -> None:
    agent = model.agent(
        model="m", api_key="sk-1", instructions="Be kind.", temperature=0.5, max_tokens=77, actions=()
    )
    assert await hear(agent, TURN) == [Say("Hello.")]
    (body,) = model.asked
    system = body.pop("messages")[0]
    assert body == {"model": "m", "stream": True, "max_tokens": 77, "temperature": 0.5}
    assert system["role"] == "system"
    assert system["content"].startswith("Be kind.\n\n")
    assert "+15550001111" in system["content"]
    assert '{"campaign": "spring"}' in system["content"]
    assert model.headers[0]["authorization"] == "Bearer sk-1"
    assert model.headers[0]["accept-encoding"] == "identity"


async def test_what_happens_is_told_in_brackets_and_user_and_assistant_take_turns(model: ModelServer) -> None:
    agent = model.agent()
    await hear(agent, STARTED)
    assert model.messages == [user("[The call begins.]", "[Greet the caller.]")]
    await hear(agent, TURN)
    assert model.messages == [user("[The call begins.]"), assistant("Hello."), user(" What are your hours?")]
    cut = Interruption("We are open", " every day.")
    heard = (*TURN.messages, Message("assistant", "We are open"), Message("user", "On Sunday?"))
    await hear(agent, turn(reply=3, turn=2, interrupted=cut, messages=heard, digits="12", over_speech=True))
    assert model.messages[3:] == [
        assistant("We are open"),
        user(
            "[The caller cut you off and did not hear this: every day.]",
            "[The caller says this while you go on speaking.]",
            "[The caller has also pressed the keys 1 2]",
            "On Sunday?",
        ),
    ]


async def test_an_outbound_call_and_words_that_are_in_no_message_yet(model: ModelServer) -> None:
    agent = model.agent()
    outbound = replace(CALL, direction="outbound")
    await hear(agent, replace(STARTED, call=outbound))
    assert model.messages == [user("[The call begins.]", "[They have answered.]")]
    assert "You have called +15552223333." in model.asked[-1]["messages"][0]["content"]
    await hear(agent, turn(messages=()))
    assert model.messages == [user("[The call begins.]", "What are your hours?")]


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (turn(occasion="digits", digits="42"), "[The caller has pressed the keys 4 2]"),
        (turn(occasion="digits"), "[The caller has pressed no key.]"),
        (
            turn(occasion="transfer.ended", transfer=TransferResult("+15551234567", "busy")),
            "[Nobody took the call: busy. The caller is with you again.]",
        ),
        (turn(occasion="message", transcript=" Call me."), "[The caller has left a message: Call me.]"),
    ],
)
async def test_what_happened_besides_words_is_told_and_not_forgotten(
    model: ModelServer, question: Question, told: str
) -> None:
    agent = model.agent()
    question = replace(question, messages=TURN.messages[:1])
    await hear(agent, question)
    assert model.messages == [user("[The call begins.]"), assistant("Hello."), user(told)]
    later = (*question.messages, Message("assistant", "I see."), Message("user", "Yes."))
    await hear(agent, turn(reply=5, messages=later))
    assert model.messages[2:] == [user(told), assistant("I see."), user("Yes.")]


@pytest.mark.parametrize("occasion", ["silence", "volunteered", "call.ended", "of.tomorrow"])
async def test_other_occasions_are_left_to_the_bridge(model: ModelServer, occasion: Any) -> None:
    assert await hear(model.agent(), turn(occasion=occasion)) == []
    assert model.asked == []


async def test_a_greeting_of_the_settings_is_not_said_twice(model: ModelServer) -> None:
    assert await hear(model.agent(greets=False), STARTED) == []
    assert model.asked == []


async def test_only_the_latest_messages_are_shown(model: ModelServer) -> None:
    heard = tuple(Message("user" if at % 2 else "assistant", str(at)) for at in range(20))
    await hear(model.agent(history_messages=3), turn(messages=heard))
    assert model.messages == [user("17"), assistant("18"), user("19")]


# --- what it says ------------------------------------------------------------------------------------------


async def test_text_is_handed_on_while_it_comes(model: ModelServer) -> None:
    go_on = asyncio.Event()
    model.answers = [[{"role": "assistant", "content": ""}, "Hel", go_on, "lo ", "👋", event({}, "stop"), DONE]]
    heard: list[Action] = []
    async for action in model.agent().ask(TURN):
        heard.append(action)
        go_on.set()  # set by nothing but the first piece having been heard
    assert heard == [Say("Hel"), Say("lo "), Say("👋")]


async def test_cancelling_closes_the_connection(model: ModelServer) -> None:
    begun = asyncio.Event()
    model.answers = [["Well", asyncio.Event()]]

    async def listen() -> None:
        async for _ in model.agent().ask(TURN):
            begun.set()

    task = spawn(listen(), name="listen")
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    async with asyncio.timeout(5):
        await model.closed.wait()


async def test_calls_at_the_same_time_are_kept_apart(model: ModelServer) -> None:
    async def echo(request: web.Request) -> web.Response:
        said = (await request.json())["messages"][-1]["content"]
        return web.json_response({"choices": [{"index": 0, "message": {"content": said}, "finish_reason": "stop"}]})

    model.answers = [echo]
    agent = model.agent(actions=())
    questions = [
        turn(call=replace(CALL, id=str(at)), messages=(Message("assistant", "Hi."), Message("user", str(at))))
        for at in range(50)
    ]
    heard = await asyncio.gather(*(hear(agent, question) for question in questions))
    assert heard == [[Say(str(at))] for at in range(50)]


# --- what it does with the call ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "action"),
    [
        ("hang_up", {}, HangUp()),
        ("hang_up", {"reason": "done"}, HangUp("done")),
        ("transfer", {"to": "sales"}, Transfer("+15551234567")),
        (
            "transfer",
            {"to": "front desk", "summary": "Ann, a bike."},
            Transfer("sip:desk@example.com", "Ann, a bike."),
        ),
        ("send_digits", {"digits": "12w3#"}, SendDigits("12w3#")),
        ("gather_digits", {"length": 4, "masked": True}, GatherDigits(4, masked=True)),
        ("play", {"source": "hold.wav", "loop": 2}, Play("hold.wav", 2)),
        ("record_message", {"max_s": 30}, RecordMessage(30)),
        ("set", {"language": "es"}, Set(language="es")),
        ("set", {"recording": "paused"}, Set(recording="paused")),
        ("note", {"data": {"name": "Ann"}}, Note({"name": "Ann"})),
    ],
)
async def test_each_action_of_the_vocabulary_can_be_called(
    model: ModelServer, name: str, arguments: dict[str, Any], action: Action
) -> None:
    model.answers = [["All right. ", *calls((name, arguments))]]
    agent = model.agent(actions=EVERYTHING, targets=TARGETS)
    assert await hear(agent, TURN) == [Say("All right. "), action]
    assert len(model.asked) == 1, "who has spoken and acted has nothing more to say"
    offered = {tool["function"]["name"]: tool["function"] for tool in model.asked[0]["tools"]}
    assert list(offered) == list(EVERYTHING)
    assert offered["transfer"]["parameters"]["properties"]["to"]["enum"] == ["sales", "front desk"]


async def test_without_targets_there_is_no_transfer(model: ModelServer) -> None:
    model.answers = [calls(("transfer", {"to": "sales"})), says("I can't.")]
    refused: list[str] = []
    agent = model.agent(on_refused=refused.append)
    assert await hear(agent, TURN) == [Say("I can't.")]
    assert refused == ["transfer"]
    assert "transfer" not in [tool["function"]["name"] for tool in model.asked[0]["tools"]]


async def test_what_ends_the_models_part_comes_behind_all_text(model: ModelServer) -> None:
    model.answers = [
        calls(("gather_digits", {"length": 4}), ("note", {"data": {"a": 1}})),
        says("Your PIN, please."),
    ]
    assert await hear(model.agent(), TURN) == [Note({"a": 1}), Say("Your PIN, please."), GatherDigits(4)]
    assert "say it now" in model.messages[-2]["content"]


async def test_a_model_that_only_kept_a_note_is_asked_for_words(model: ModelServer) -> None:
    model.answers = [calls(("note", {"data": {"a": 1}})), says("Noted.")]
    assert await hear(model.agent(), TURN) == [Note({"a": 1}), Say("Noted.")]


async def test_wrong_arguments_are_told_to_the_model_once_and_then_left_out(model: ModelServer) -> None:
    wrong = calls(("send_digits", {"digits": "xyz"}))
    model.answers = [["One moment. ", *wrong], wrong]
    refused: list[str] = []
    with capture_logs() as lines:
        assert await hear(model.agent(on_refused=refused.append), TURN) == [Say("One moment. ")]
    assert refused == ["send_digits", "send_digits"]
    assert [line["event"] for line in lines] == ["agent_action_refused"]
    called, result = model.messages[-2:]
    assert called["content"] == "One moment. "
    assert called["tool_calls"][0]["function"] == {"name": "send_digits", "arguments": '{"digits": "xyz"}'}
    assert result == {
        "role": "tool",
        "tool_call_id": "call_send_digits_0",
        "content": "error: digits can be 0-9 * # A-D, w and W",
    }
    assert len(model.asked) == 2


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("hang_up", '{"reason": ', "the arguments are no JSON"),
        ("transfer", {"to": "+15559999999"}, "to: '+15559999999' is not one of ['sales', 'front desk']"),
        ("transfer", {}, "'to' is a required property"),
        ("gather_digits", {"length": "four"}, "length: 'four' is not of type 'integer'"),
        ("gather_digits", {"length": 1000}, "the length of a number can be 1 to 100"),
        ("note", {"data": {}, "more": 1}, "Additional properties are not allowed"),
        ("set", {}, "changes nothing"),
        ("fly", {}, "there is no function fly; there are transfer, hang_up"),
        ("", {}, "there is no function ;"),
    ],
)
async def test_a_wrong_call_may_be_made_good(model: ModelServer, name: str, arguments: Any, told: str) -> None:
    model.answers = [calls((name, arguments)), ["Bye.", *calls(("hang_up", {}))]]
    refused: list[str] = []
    agent = model.agent(actions=EVERYTHING, targets=TARGETS, on_refused=refused.append)
    assert await hear(agent, TURN) == [Say("Bye."), HangUp()]
    assert told in model.messages[-1]["content"]
    assert refused == [name if name in EVERYTHING else "other"]


async def test_what_it_did_is_remembered_until_the_call_ends(model: ModelServer) -> None:
    model.answers = [["Noted. ", *calls(("note", {"data": {"a": 1}}))], says("Yes.")]
    agent = model.agent()
    await hear(agent, TURN)
    later = (*TURN.messages, Message("assistant", "Noted."), Message("user", "Sure?"))
    await hear(agent, turn(reply=3, turn=2, messages=later))
    called, result, noted, sure = model.messages[3:]
    assert (called["content"], called["tool_calls"][0]["function"]["name"]) == (None, "note"), "only heard words"
    assert (result["role"], noted, sure) == ("tool", assistant("Noted."), user("Sure?"))
    await hear(agent, replace(TURN, call=replace(CALL, id="another")))
    assert len(model.messages) == 3
    await hear(agent, ENDED)
    await hear(agent, turn(messages=later))
    assert [message["role"] for message in model.messages] == ["user", "assistant", "user", "assistant", "user"]


async def test_what_was_dropped_unheard_is_not_remembered(model: ModelServer) -> None:
    model.answers = [["Noted. ", *calls(("note", {"data": {"a": 1}}))], says("Yes.")]
    agent = model.agent()
    await hear(agent, turn(speculative=True))
    await hear(agent, turn(reply=3))
    assert len(model.messages) == 3


async def test_a_secret_that_is_keyed_in_is_told_once_and_not_remembered(model: ModelServer) -> None:
    model.answers = [["The PIN? ", *calls(("gather_digits", {"masked": True}))], says("Thanks.")]
    agent = model.agent()
    await hear(agent, TURN)
    heard = (*TURN.messages, Message("assistant", "The PIN?"))
    await hear(agent, turn(reply=3, occasion="digits", digits="4711", messages=heard))
    assert model.messages[-1] == user("[The caller has pressed the keys 4 7 1 1]")
    await hear(agent, turn(reply=4, messages=(*heard, Message("user", "So?"))))
    assert "4 7 1 1" not in str(model.messages)


async def test_rounds_are_bounded_and_in_the_last_one_it_may_only_speak(model: ModelServer) -> None:
    model.tools["hours"] = {"open": 9}
    model.answers = [calls(("hours", {}))]
    refused: list[str] = []
    agent = model.agent(tools=(model.tool("hours", "hours"),), on_refused=refused.append)
    assert await hear(agent, TURN) == []
    assert [body.get("tool_choice") for body in model.asked] == [None, None, None, "none"]
    assert (len(model.called), refused) == (3, ["too_many"])


# --- HTTP tools --------------------------------------------------------------------------------------------


async def test_a_look_up_is_made_and_its_result_given_to_the_model(model: ModelServer) -> None:
    model.tools["hours/Sunday"] = {"open": "nine"}
    tool = model.tool("hours", "hours/{day}", "day", "town", headers={"Authorization": "Bearer tool-key"})
    model.answers = [
        ["Let me see.", *calls(("hours", {"day": "Sunday", "town": "Bad Ems & Nassau"}))],
        says("From nine."),
    ]
    agent = model.agent(tools=(tool,))
    with capture_logs() as lines:
        assert await hear(agent, turn(speculative=True)) == [Say("Let me see."), Say(" From nine.")], "apart"
    assert model.called == [("GET", "hours/Sunday?town=Bad+Ems+%26+Nassau", None)]
    assert model.headers[1]["authorization"] == "Bearer tool-key"
    assert model.messages[-1]["content"] == '{"open": "nine"}'
    (line,) = lines
    assert (line["event"], line["tool"], line["outcome"]) == ("agent_tool_called", "hours", "ok")


async def test_a_tool_that_changes_something_waits_for_the_end_of_the_turn(model: ModelServer) -> None:
    model.tools["book"] = {"booked": True}
    tool = model.tool("book", "book", "day", method="POST")
    wanted = ["I'll book it. ", *calls(("book", {"day": "Sunday"}))]
    model.answers = [wanted, wanted, says("It is booked.")]
    agent = model.agent(tools=(tool,))
    with pytest.raises(AgentError, match="has to wait for the end of the caller's turn") as held:
        await hear(agent, turn(speculative=True))
    assert (held.value.code, model.called) == ("agent_held", [])
    assert await hear(agent, TURN) == [Say("I'll book it. "), Say("It is booked.")]
    assert model.called == [("POST", "book", {"day": "Sunday"})]


async def test_a_tools_result_is_known_to_later_turns(model: ModelServer) -> None:
    model.tools["hours"] = {"open": "nine"}
    model.answers = [calls(("hours", {})), says("From nine."), says("As I said.")]
    agent = model.agent(tools=(model.tool("hours", "hours"),))
    await hear(agent, TURN)
    await hear(agent, turn(reply=3, turn=2, messages=(*TURN.messages, Message("user", "When?"))))
    assert [message["role"] for message in model.messages] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
        "user",
    ]


async def test_functions_of_one_answer_run_side_by_side(model: ModelServer) -> None:
    here: list[str] = []
    both = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        here.append(request.path)
        if len(here) == 2:
            both.set()
        await both.wait()
        return web.Response(text=request.path[-1])

    model.tools = {"a": wait, "b": wait}
    tools = (model.tool("one", "a"), model.tool("two", "b"))
    model.answers = [calls(("one", {}), ("two", {}), ("hang_up", {})), says("Bye.")]
    assert await hear(model.agent(tools=tools), TURN) == [Say("Bye."), HangUp()]
    assert [message["content"] for message in model.messages[-3:-1]] == ["a", "b"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (web.Response(status=404, text="no such day"), "error: status 404. no such day"),
        (web.Response(status=302, headers={"location": "/"}), "error: status 302."),
        (web.Response(), "(done; the answer is empty)"),
        (web.Response(body=b"\x00\x01"), "(the answer is no text)"),
        (web.Response(text="x" * 20_000), "x" * 16_384 + " … (cut off)"),
    ],
)
async def test_whatever_a_tool_answers_the_model_is_told(
    model: ModelServer, answer: web.Response, told: str
) -> None:
    model.tools["t"] = answer
    model.answers = [calls(("t", {})), says("I see.")]
    assert await hear(model.agent(tools=(model.tool("t", "t"),)), TURN) == [Say("I see.")]
    assert model.messages[-1]["content"] == told


async def test_a_tool_that_is_slow_or_not_there(model: ModelServer, unused_tcp_port: int) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    model.tools["slow"] = hang
    gone = replace(model.tool("gone", "gone"), url=f"http://127.0.0.1:{unused_tcp_port}/")
    tools = (model.tool("slow", "slow", timeout_seconds=0.1), gone)
    model.answers = [calls(("slow", {}), ("gone", {})), says("Sorry.")]
    assert await hear(model.agent(tools=tools), TURN) == [Say("Sorry.")]
    results = [message["content"] for message in model.messages[-2:]]
    assert results == ["error: it took too long", "error: it cannot be reached"]


async def test_cancelling_stops_a_tool(model: ModelServer) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return web.Response()

    model.tools["slow"] = hang
    model.answers = [calls(("slow", {}))]
    agent = model.agent(tools=(model.tool("slow", "slow"),))
    task = spawn(hear(agent, TURN), name="hear")
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(5):
        await stopped.wait()
    await asyncio.wait([task])


async def test_what_was_broken_off_is_remembered_if_it_may_have_been_done(model: ModelServer) -> None:
    begun = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        begun.set()
        await asyncio.Event().wait()
        return web.Response()

    model.tools["book"] = hang
    model.answers = [calls(("book", {})), says("Let me look.")]
    agent = model.agent(tools=(model.tool("book", "book", method="POST"),))
    task = spawn(hear(agent, TURN), name="hear")
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await hear(agent, turn(reply=3, turn=2, messages=(*TURN.messages, Message("user", "For two."))))
    booked, result, said = model.messages[3:]
    assert booked["tool_calls"][0]["function"]["name"] == "book"
    assert (result["role"], "not known whether it was done" in result["content"]) == ("tool", True)
    assert said == user("For two.")


@pytest.mark.parametrize(
    ("schema", "arguments", "told"),
    [
        ({"$ref": "http://127.0.0.1:1/schema"}, {}, "the arguments cannot be checked"),
        ({"$ref": "#"}, {}, "the arguments cannot be checked"),
        ({}, "[" * 5000 + "]" * 5000, "the arguments are no JSON"),
        ({"additionalProperties": {"$ref": "#"}}, '{"a":' * 900 + "{}" + "}" * 900, ""),
    ],
)
async def test_schemas_and_arguments_without_end_do_no_harm(
    model: ModelServer, schema: dict[str, Any], arguments: Any, told: str
) -> None:
    model.tools["t"] = "found"
    tool = replace(model.tool("t", "t"), parameters={"type": "object", **schema})
    model.answers = [calls(("t", arguments)), says("Well.")]
    assert await hear(model.agent(tools=(tool,)), TURN) == [Say("Well.")]
    assert told in model.messages[-1]["content"]


@pytest.mark.parametrize("value", ["..", ".", "", "a/b", "?x=1#", "%2e%2e", "Köln", "a&b=c+d e"])
async def test_an_argument_stays_in_its_place_in_the_url(model: ModelServer, value: str) -> None:
    model.tools["of/" + value] = "found"
    tool = model.tool("of", "of/{what}?also={what}", "what")
    model.answers = [calls(("of", {"what": value})), says("Well.")]
    await hear(model.agent(tools=(tool,)), TURN)
    if value.strip(".") == "":
        assert model.called == []
        return
    ((_, asked, _),) = model.called
    path, _, query = asked.partition("?")
    assert (unquote(path), path.count("/")) == ("of/" + value, 1)
    assert parse_qsl(query) == [("also", value)]


async def test_answers_are_closed_when_they_are_left(model: ModelServer) -> None:
    model.answers = [["Well", asyncio.Event()]]
    async with aclosing(model.agent().ask(TURN)) as pieces:
        assert await anext(pieces) == Say("Well")
    async with asyncio.timeout(5):
        await model.closed.wait()
