"""Apps that break, flood, vanish, or cannot be reached: each call goes on or ends as configured."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiohttp import WSCloseCode

from bridge.agents.relay import agent as conversation_relay
from bridge.agents.relay import connection as relay_socket
from bridge.agents.relay.agent import RelayAgent
from bridge.agents.relay.connection import COST, MAX_PER_SECOND, MAX_WAITING, RelayAddress, SocketLimits
from bridge.conversation.actions import HandOff, HangUp, Say
from bridge.errors import AgentError, SettingsError
from bridge.tasks import spawn
from tests.agents.asking import CALL
from tests.agents.relay.bench import LIMITS, OPTIONS, AppSide, CallSide
from tests.agents.relay.scripted import Scripted, scripted

__all__ = ["scripted"]

LAST_WORDS = (Say("Good-bye."), HangUp("agent_failed"))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_relay, "QUIET_S", 0.1)
    monkeypatch.setattr(relay_socket, "PAUSES_S", (0.01, 0.02))


async def closed(app: AppSide, scripted: Scripted) -> list[int | None]:
    """Wait until the bridge has closed a connection, and return the codes of all ends."""
    async with asyncio.timeout(5):
        while not scripted.app.closed:  # noqa: ASYNC110  The server's handler ends a moment later.
            await asyncio.sleep(0.001)
    return scripted.app.closed


async def noticed(call: CallSide) -> None:
    """Wait until the bridge knows that its connection is gone: what was sent before is not sent again."""
    async with asyncio.timeout(5):
        while call.attendant._socket.state != "lost":  # noqa: ASYNC110  Nobody is told.
            await asyncio.sleep(0.001)


async def failure_of(call: CallSide) -> AgentError:
    with pytest.raises(AgentError) as failed:
        await call.say("Hello?")
    return failed.value


# --- malformed, too much, too long -----------------------------------------------------------------------------


async def test_ten_malformed_messages_in_a_row_close_the_session_as_twilio_does(scripted: Scripted) -> None:
    call, app = await scripted.call(replace(OPTIONS, when_lost=LAST_WORDS))
    for _ in range(9):
        await app.socket.send_str('{"type":"shout"}')
    await app.say("Well, ")
    for number in range(10):
        await app.socket.send_bytes(bytes([number]))

    await closed(app, scripted)
    assert app.socket.close_code == 1007
    complaints = [message["description"] for message in app.got[1:]]
    assert complaints == [
        *['Invalid message received: {"type":"shout"}'] * 9,
        *["Invalid message received: (binary, 1 bytes)"] * 9,
    ]
    assert scripted.refused == ["malformed"] * 19
    answer = call.agent.ask(call.question("volunteered"))
    assert await anext(answer) == Say("Well, ")
    with pytest.raises(AgentError) as failed:
        await anext(answer)
    assert failed.value.code == "agent_answer"
    assert await call.volunteered() == [*LAST_WORDS]
    facts = call.agent.session(CALL.sid)
    assert facts is not None
    assert (facts.status, facts.error_code) == ("failed", "64105")


async def test_the_reason_of_the_close_is_the_documented_one() -> None:
    # aiohttp does not tell a server's handler the reason, so another library is at the other end here.
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosed

    ends: asyncio.Queue[ConnectionClosed] = asyncio.Queue()

    async def app(connection: ServerConnection) -> None:
        try:
            for _ in range(10):
                await connection.send("not JSON")
            while True:
                await connection.recv()
        except ConnectionClosed as end:
            ends.put_nowait(end)

    async with serve(app, "127.0.0.1", 0) as server:
        (listener,) = server.sockets
        port = listener.getsockname()[1]
        call = CallSide(RelayAgent(f"ws://127.0.0.1:{port}/", options=OPTIONS))
        end = await asyncio.wait_for(ends.get(), 5)
        await call.end()

    assert end.rcvd is not None
    assert (end.rcvd.code, end.rcvd.reason) == (1007, "Too many consecutive malformed messages.")


async def test_a_flood_neither_fills_the_memory_nor_keeps_other_calls_waiting(scripted: Scripted) -> None:
    call, app = await scripted.call()
    other = RelayAgent(scripted.url, options=OPTIONS)
    began = asyncio.get_running_loop().time()
    flooding = spawn(flood(app), name="flood")
    await asyncio.wait_for(call.floor.wait(), 10)
    second = CallSide(other)
    quiet = await scripted.app.connected()
    for number in range(10):
        asked = spawn(second.say(f"Question {number}"), name="asked")
        await quiet.until(2 + number)
        await quiet.say("Answer.", last=True)
        assert await asked == [Say("Answer.")]

    flooding.cancel()
    seconds = asyncio.get_running_loop().time() - began
    assert call.attendant.talk.received + call.attendant.talk.dropped <= (seconds + 1) * MAX_PER_SECOND
    await other.close()


async def test_sounds_and_changes_are_read_more_slowly_than_words(scripted: Scripted) -> None:
    call, app = await scripted.call()
    for _ in range(60):
        await app.send(type="play", source="https://example.com/a.wav")
    async with asyncio.timeout(5):
        while call.attendant.talk.received < 20:  # noqa: ASYNC110  Nobody is told.
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert call.attendant.talk.received <= MAX_PER_SECOND // COST + 1


async def flood(app: AppSide) -> None:
    while True:
        for _ in range(20):
            await app.say("word ")
        await asyncio.sleep(0)  # The app shares the bridge's loop here, which it cannot do in the world.


async def test_a_message_that_is_too_long_costs_the_connection_and_not_the_call(scripted: Scripted) -> None:
    call, app = await scripted.call()
    await app.say("x" * 300_000)
    again = await scripted.app.connected()
    await again.say("Sorry.", last=True)

    assert await call.volunteered() == [Say("Sorry.")]


# --- lost and found ------------------------------------------------------------------------------------------


async def test_a_lost_app_comes_back_and_gets_what_it_missed(scripted: Scripted) -> None:
    call, app = await scripted.call()
    await app.say("Half a ")
    await asyncio.wait_for(call.floor.wait(), 5)
    call.floor.clear()
    asked = spawn(call.all_of(call.say("Are you there?"), 2), name="asked")
    await app.until(2)
    scripted.app.open = False
    app.vanish()
    await noticed(call)
    call.attendant.key("1", over_speech=False)
    call.attendant.interrupted("Half", 300)
    scripted.app.open = True
    again = await scripted.app.connected()

    got = await again.until(4)
    assert [message["type"] for message in got] == ["setup", "prompt", "dtmf", "interrupt"]
    assert got[0] == app.got[0]
    assert got[1] == app.got[1]
    await again.say("Here.", last=True)
    assert (await asked)[-1] == Say("Here.")


async def test_an_app_that_refuses_while_it_starts_again_is_tried_until_the_time_is_up(scripted: Scripted) -> None:
    limits = SocketLimits(connect_s=1.0, reconnect_s=0.15)
    call, app = await scripted.call(replace(OPTIONS, limits=limits, when_lost=LAST_WORDS))
    scripted.app.open = False
    app.vanish()

    error = await failure_of(call)
    assert error.code in {"agent_status", "agent_unreachable"}
    assert await call.volunteered() == [*LAST_WORDS]
    facts = call.agent.session(CALL.sid)
    assert facts is not None
    assert (facts.status, facts.error_code, facts.error_message) == ("failed", "39001", error.message)
    call.attendant.key("1", over_speech=False)
    call.attendant.partial("Hello")
    call.attendant.interrupted("", 0)


async def test_what_a_lost_app_misses_is_bounded_and_the_latest_is_kept(scripted: Scripted) -> None:
    call, app = await scripted.call()
    scripted.app.open = False
    app.vanish()
    await noticed(call)
    for number in range(MAX_WAITING + 50):
        call.attendant.key(str(number % 10), over_speech=False)
    scripted.app.open = True
    again = await scripted.app.connected()

    got = await again.until(1 + MAX_WAITING)
    await call.end()
    assert len(got) == 1 + MAX_WAITING
    assert got[-1]["digit"] == str((MAX_WAITING + 49) % 10)


async def test_without_a_time_for_it_a_lost_app_is_lost(scripted: Scripted) -> None:
    call, app = await scripted.call(replace(OPTIONS, limits=replace(LIMITS, reconnect_s=0)))
    app.vanish()

    with pytest.raises(AgentError, match="is gone: its connection broke"):
        await call.volunteered()
    assert await call.volunteered() == [HandOff()]
    assert await call.hear(call.question("silence")) == [HandOff()]


@pytest.mark.parametrize("code", [WSCloseCode.OK, None])
async def test_an_app_that_closes_its_socket_has_ended_the_session(
    scripted: Scripted, code: WSCloseCode | None
) -> None:
    call, app = await scripted.call()
    await app.say("Bye.", last=True)
    await (app.socket.close() if code is None else app.socket.close(code=code))

    heard = await call.all_of(call.volunteered(), 2)
    assert heard == [Say("Bye."), HandOff()]
    facts = call.agent.session(CALL.sid)
    assert facts is not None
    assert (facts.status, facts.error_code) == ("ended", "")


async def test_an_app_that_goes_away_for_a_restart_is_taken_up_again(scripted: Scripted) -> None:
    call, app = await scripted.call()
    await app.socket.close(code=WSCloseCode.GOING_AWAY)
    again = await scripted.app.connected()
    await again.say("Back.", last=True)

    assert await call.volunteered() == [Say("Back.")]


async def test_an_app_that_wants_nothing_of_us_is_not_asked_again(scripted: Scripted) -> None:
    call, app = await scripted.call()
    await app.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"who are you?")

    with pytest.raises(AgentError, match=r"closed the connection \(1008 who are you\?\)"):
        await call.volunteered()


# --- never there --------------------------------------------------------------------------------------------


async def test_an_app_that_is_not_there_fails_at_once(unused_tcp_port: int) -> None:
    agent = RelayAgent(f"ws://user:hush@127.0.0.1:{unused_tcp_port}/relay?key=hush", options=OPTIONS)
    call = CallSide(agent)

    with pytest.raises(AgentError, match=r"^the agent at ws://127\.0\.0\.1:\d+/relay cannot be reached") as failed:
        await call.begin()
    assert failed.value.code == "agent_unreachable"
    facts = agent.session(CALL.sid)
    assert facts is not None
    assert (facts.status, facts.error_code) == ("failed", "64102")
    await call.end()


async def test_a_server_that_does_not_speak_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        agent = RelayAgent(
            f"ws://127.0.0.1:{port}/", options=replace(OPTIONS, limits=SocketLimits(connect_s=0.1, reconnect_s=0))
        )
        call = CallSide(agent)
        with pytest.raises(AgentError, match=r"could not be connected to within 0\.1 s"):
            await call.begin()
        await call.end()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_private_address_is_refused_where_it_is_not_allowed(scripted: Scripted, host: str) -> None:
    url = scripted.url.replace("127.0.0.1", host)
    call = CallSide(RelayAgent(url, options=replace(OPTIONS, allow_private=False)))

    with pytest.raises(AgentError, match="private network") as failed:
        await call.begin()
    assert failed.value.code == "agent_target"
    await call.end()


async def test_the_end_of_a_process_closes_what_is_open(scripted: Scripted) -> None:
    call, app = await scripted.call()
    await call.agent.close()

    assert await closed(app, scripted) == [1000]


@pytest.mark.parametrize("url", ["", "relay.example.com", "ftp://relay.example.com/", "wss://", "wss://x:port/"])
def test_an_address_that_cannot_be_one_is_told_at_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match=r"agent\.url \(BRIDGE_AGENT__URL\) is .*: wanted a ws\(s\) URL"):
        RelayAgent(url)


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("wss://agent.example.com", "wss://agent.example.com/"),
        ("https://agent.example.com/cr", "wss://agent.example.com/cr"),
        ("wss://agent.example.com:8443/cr/%2B?t=a%20b#x", "wss://agent.example.com:8443/cr/%2B?t=a%20b"),
        ("wss://me:pw@agent.example.com/cr", "wss://agent.example.com/cr"),
    ],
)
def test_what_is_signed_is_the_url_that_the_app_is_asked_for(url: str, dialled: str) -> None:
    signed: list[str] = []

    def sign(text: str) -> str:
        signed.append(text)
        return "signature"

    RelayAddress(url, sign=sign)
    assert signed == [dialled]
