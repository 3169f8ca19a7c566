from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.checks.local import (
    Finding,
    check_folder,
    check_local_speech,
    check_numbers,
    check_settings,
    check_token,
)
from bridge.checks.network import check_agent, check_clock, check_public_url, check_speech, check_twilio
from bridge.command_line.doctor import examine, print_findings
from bridge.errors import MissingExtraError
from bridge.settings import Settings
from bridge.settings.calls import NumberSettings
from bridge.settings.source import load_settings
from bridge.store.folder_lock import held

ACCOUNT = "AC" + "1" * 32


class World:
    """Everything a bridge talks with, on one local port: Twilio, an agent, a tunnel, and a speech service."""

    def __init__(self) -> None:
        self.numbers: list[dict[str, str]] = []
        self.twilio_status = 200
        self.agent_status = 405
        self.healthz = (200, '{"status": "ok"}')
        self.speech_status = 101
        self.skew_s = 0.0
        app = web.Application()
        app.router.add_get(f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json", self.list_numbers)
        app.router.add_get("/healthz", self.health)
        app.router.add_route("*", "/agent", self.agent)
        app.router.add_get("/stt/turns/websocket", self.stt)
        app.router.add_route("HEAD", "/", self.date)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/")).rstrip("/")

    async def list_numbers(self, request: web.Request) -> web.Response:
        wanted = request.query.get("PhoneNumber")
        found = [{"sid": "PN1", **entry} for entry in self.numbers if wanted in {None, entry["phone_number"]}]
        body = {"incoming_phone_numbers": found, "next_page_uri": None}
        return web.json_response(body, status=self.twilio_status)

    async def health(self, _: web.Request) -> web.Response:
        status, text = self.healthz
        return web.Response(status=status, text=text)

    async def agent(self, _: web.Request) -> web.Response:
        return web.Response(status=self.agent_status)

    async def stt(self, request: web.Request) -> web.StreamResponse:
        if self.speech_status != 101:
            return web.json_response({"message": "no such key"}, status=self.speech_status)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "connected", "request_id": "r1"})
        await socket.receive()
        return socket

    async def date(self, _: web.Request) -> web.Response:
        return web.Response(headers={"Date": formatdate(time.time() + self.skew_s, usegmt=True)})

    def number(self, number: str, voice_url: str, method: str = "POST") -> None:
        self.numbers.append({"phone_number": number, "voice_url": voice_url, "voice_method": method})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    it = World()
    await it.server.start_server()
    yield it
    await it.server.close()


def settings(**environment: str) -> Settings:
    return load_settings(
        files=(), environment={f"BRIDGE_{name}".upper(): value for name, value in environment.items()}
    )


def account(world: World, **environment: str) -> Settings:
    return settings(
        twilio__account_sid=ACCOUNT,
        twilio__auth_token="hush",
        twilio__api_url=world.url,
        server__public_url=world.url,
        **environment,
    )


def told(findings: list[Finding] | Finding) -> list[tuple[str, str]]:
    every = findings if isinstance(findings, list) else [findings]
    return [(finding.status, finding.message) for finding in every]


# --- this machine ------------------------------------------------------------------------------------------


def test_a_folder_that_can_be_written(tmp_path: Path) -> None:
    finding = check_folder(settings(store__recordings=str(tmp_path / "new")))

    assert finding.status == "ok"
    assert "hours of calls" in finding.message


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = check_folder(settings(store__recordings=str(tmp_path / "file")))

    assert finding.status == "failed"
    assert "BRIDGE_STORE__RECORDINGS" in finding.remedy


def test_a_folder_that_another_bridge_has(tmp_path: Path) -> None:
    with held(tmp_path, "one"):
        mine = check_folder(settings(store__recordings=str(tmp_path), server__node="one"))
        others = check_folder(settings(store__recordings=str(tmp_path), server__node="two"))

    assert (mine.status, others.status) == ("ok", "failed")
    assert "one, process" in mine.message
    assert "another folder" in others.remedy


def test_little_room_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.checks.local.shutil.disk_usage", lambda _: SimpleNamespace(free=288_000_000))
    finding = check_folder(settings(store__recordings=str(tmp_path)))

    assert finding.status == "warning"
    assert "0.3 GB are free, room for 5 hours" in finding.message


def test_settings_without_effect_are_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_settings().status == "ok"
    Path("config").mkdir()
    Path("config/bridge.toml").touch()
    Path("bridge.toml").touch()
    assert (check_settings().status, "is not read" in check_settings().message) == ("warning", True)


def test_whose_token_signs() -> None:
    assert "simulated calls only" in check_token(settings()).message
    assert "of the settings" in check_token(settings(twilio__auth_token="x")).message
    assert check_token(settings(twilio__validate="false")).status == "warning"


def test_local_speech_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise MissingExtraError("local", "the local speech server")

    monkeypatch.setattr("bridge.speech_server.engine.load_recognizer", missing)
    (finding,) = check_local_speech()

    assert finding.status == "failed"
    assert "pip install 'phone-bridge[local]'" in finding.remedy


# --- beyond it ---------------------------------------------------------------------------------------------


async def test_a_speech_service_that_lets_us_in(world: World) -> None:
    stt, tts = await check_speech(settings(speech__base_url=world.url, speech__api_key="sk_123456"))

    assert (stt.check, stt.status) == ("speech to text", "ok")
    assert (tts.check, tts.status) == ("text to speech", "failed")  # there is no such address in this world


async def test_a_speech_service_that_refuses_the_key(world: World) -> None:
    world.speech_status = 401
    stt, _ = await check_speech(settings(speech__base_url=world.url, speech__api_key="sk_123456"))

    assert stt.status == "failed"
    assert "BRIDGE_SPEECH__API_KEY" in stt.message
    assert "sk_123456" not in stt.message


@pytest.mark.parametrize(
    ("status", "expected"), [(200, "ok"), (405, "ok"), (401, "ok"), (404, "warning"), (502, "warning")]
)
async def test_a_webhook_agent_that_answers(world: World, status: int, expected: str) -> None:
    world.agent_status = status
    (finding,) = await check_agent(settings(agent__url=f"{world.url}/agent"))

    assert finding.status == expected


async def test_a_flow_is_read(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    await asyncio.to_thread(file.write_text, "steps: {bye: {do: hang_up}}")
    (finding,) = await check_agent(settings(agent__url=str(file)))
    assert (finding.status, finding.message) == ("ok", f"the flow {file} has 1 steps and no mistakes")
    await asyncio.to_thread(file.write_text, "steps: {bye: {do: hang_upp}}")
    (finding,) = await check_agent(settings(agent__url=str(file)))
    assert finding.status == "failed"
    assert f"{file}:1: the step bye does 'hang_upp'" in finding.message


async def test_a_webhook_agent_that_is_not_there(unused_tcp_port: int) -> None:
    (finding,) = await check_agent(settings(agent__url=f"http://127.0.0.1:{unused_tcp_port}/agent"))

    assert finding.status == "failed"
    assert finding.message.endswith("does not answer: Connection refused")
    assert finding.remedy.startswith("start the agent")


@pytest.mark.parametrize(("status", "expected"), [(426, "ok"), (404, "ok"), (502, "warning")])
async def test_a_relay_app_that_answers(world: World, status: int, expected: str) -> None:
    world.agent_status = status
    url = f"ws{world.url.removeprefix('http')}/agent"
    (finding,) = await check_agent(settings(agent__url=url))
    assert (finding.status, finding.message.startswith(url)) == (expected, True)


async def test_a_relay_app_that_is_not_there(unused_tcp_port: int) -> None:
    (finding,) = await check_agent(settings(agent__url=f"ws://127.0.0.1:{unused_tcp_port}/relay"))
    assert finding.status == "failed"
    assert finding.remedy.startswith("start the app")


async def test_agents_of_all_numbers_are_looked_at_once_each(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(
        '[agent]\nkind = "echo"\n'
        '[[numbers]]\nnumber = "+15550000001"\nagent.url = "no_such_module:agent"\n'
        '[[numbers]]\nnumber = "+15550000002"\nagent.kind = "echo"\n'
    )
    findings = await check_agent(await asyncio.to_thread(load_settings, path, environment={}))

    assert [finding.status for finding in findings] == ["ok", "failed"]
    assert "no_such_module" in findings[1].message


async def test_no_public_url_is_a_warning() -> None:
    assert [finding.status for finding in await check_public_url(settings())] == ["warning"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [((200, '{"status": "ok"}'), "ok"), ((502, "bad gateway"), "failed"), ((200, "<html>parked</html>"), "failed")],
)
async def test_what_the_public_url_leads_to(world: World, answer: tuple[int, str], expected: str) -> None:
    world.healthz = answer
    (finding,) = await check_public_url(settings(server__public_url=world.url))

    assert finding.status == expected


async def test_a_public_url_that_leads_nowhere(unused_tcp_port: int) -> None:
    (finding,) = await check_public_url(settings(server__public_url=f"http://127.0.0.1:{unused_tcp_port}"))

    assert finding.status == "failed"
    assert "phone-bridge serve" in finding.remedy


@pytest.mark.parametrize(
    ("skew_s", "status", "words"),
    [
        (0, "ok", "agrees"),
        (30, "warning", "30 s behind"),
        (-30, "warning", "30 s ahead of"),
        (300, "failed", "300 s behind"),
    ],
)
async def test_the_clock_is_compared(
    world: World, monkeypatch: pytest.MonkeyPatch, skew_s: float, status: str, words: str
) -> None:
    # The header has whole seconds; a clock that stands still makes the difference exact.
    monkeypatch.setattr("bridge.checks.network.time.time", lambda: 1_795_000_000.0)
    world.skew_s = skew_s
    (finding,) = await check_clock(account(world))

    assert finding.status == status
    assert words in finding.message


async def test_no_account_is_not_asked() -> None:
    (finding,) = await check_twilio(settings())

    assert finding.status == "ok"
    assert "was not looked at" in finding.message


async def test_an_account_that_cannot_be_reached(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    asked = settings(twilio__account_sid=ACCOUNT, twilio__auth_token="hush", twilio__api_url=url)
    (finding,) = await check_twilio(asked)
    assert (finding.status, finding.remedy) == ("failed", "see that this machine may reach it")


async def test_wrong_credentials(world: World) -> None:
    world.twilio_status = 401
    (finding,) = await check_twilio(account(world))

    assert finding.status == "failed"
    assert "BRIDGE_TWILIO__AUTH_TOKEN" in finding.message


async def test_one_number_that_leads_here_is_enough(world: World) -> None:
    world.number("+15550000001", "https://other.example/voice")
    world.number("+15550000002", f"{world.url}/twilio/voice#rc=2")

    assert told(await check_twilio(account(world)))[1:] == [("ok", "+15550000002 leads here")]


async def test_no_number_that_leads_here(world: World) -> None:
    world.number("+15550000001", "https://other.example/voice")
    finding = (await check_twilio(account(world)))[1]

    assert (finding.status, finding.message) == ("failed", "no number of the account leads here")
    assert f"{world.url}/twilio/voice (HTTP POST)" in finding.remedy


async def test_a_number_that_asks_by_get(world: World) -> None:
    world.number("+15550000001", f"{world.url}/twilio/voice", "GET")

    assert told(await check_twilio(account(world)))[1:] == [("failed", "+15550000001 leads here by GET")]


async def test_every_number_of_the_settings_is_looked_at(world: World, tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text("".join(f'[[numbers]]\nnumber = "+1555000000{digit}"\n' for digit in (1, 2, 3)))
    world.number("+15550000001", f"{world.url}/twilio/voice")
    world.number("+15550000002", "https://other.example/voice")
    world.number("+15550000009", "https://other.example/voice")
    plain = account(world)
    numbers = (await asyncio.to_thread(load_settings, path, environment={})).numbers
    findings = await check_twilio(plain.model_copy(update={"numbers": numbers}))

    assert told(findings)[1:] == [
        ("failed", "+15550000003 is not a number of this account"),
        ("ok", "+15550000001 leads here"),
        ("failed", "+15550000002 leads to https://other.example/voice"),
    ]


async def test_a_number_of_the_settings_that_leads_elsewhere_is_told_once(world: World) -> None:
    world.number("+15550000002", "https://other.example/voice")
    plain = account(world)
    numbers = (NumberSettings(number="+15550000002"),)
    findings = await check_twilio(plain.model_copy(update={"numbers": numbers}))

    assert told(findings)[1:] == [("failed", "+15550000002 leads to https://other.example/voice")]


# --- all together ------------------------------------------------------------------------------------------


async def test_wrong_settings_are_told_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text('[server]\nport = "x"\nprot = 1\n')
    findings = await examine(path)

    assert [(finding.check, finding.status) for finding in findings] == [
        ("python", "ok"),
        ("settings", "failed"),
        ("settings", "failed"),
    ]


async def test_a_whole_examination(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(
        f"""
        [server]
        public_url = "{world.url}"
        [twilio]
        account_sid = "{ACCOUNT}"
        auth_token = "hush"
        api_url = "{world.url}"
        [speech]
        base_url = "{world.url}"
        [agent]
        url = "{world.url}/agent"
        [store]
        recordings = "{tmp_path}/calls"
        """
    )
    world.number("+15550000001", f"{world.url}/twilio/voice")
    findings = await examine(path)

    assert {finding.check: finding.status for finding in findings} == {
        "python": "ok",
        "settings": "ok",
        "recordings": "ok",
        "auth token": "ok",
        "privacy": "ok",
        "encryption": "ok",
        "database": "ok",
        "speech to text": "ok",
        "text to speech": "failed",
        "agent": "ok",
        "public URL": "ok",
        "clock": "ok",
        "twilio": "ok",
        "number": "ok",
    }
    capsys.readouterr()
    print_findings(findings, as_json=True)
    assert {entry["check"] for entry in json.loads(capsys.readouterr().out)} >= {"python", "number"}


def test_findings_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings(
        [Finding("agent", "ok", "it answers"), Finding("public URL", "failed", "no answer", "start the tunnel")],
        as_json=False,
    )

    assert capsys.readouterr().out.splitlines() == [
        "ok       agent       it answers",
        "failed   public URL  no answer",
        "                     → start the tunnel",
    ]


def numbers(*entries: dict[str, object]) -> list[Finding]:
    return check_numbers(load_settings(environment={}, files=(), overrides={"numbers": entries}))  # type: ignore[dict-item]


def test_each_number_is_told_what_becomes_of_its_calls() -> None:
    found = numbers(
        {"number": "+15550100002", "mode": "log", "forward_to": "sip:a@b", "announcement": "Recorded."},
        {"number": "+15550100003", "agent": {"kind": "none"}, "hours": {"open": "daily 00:00-24:00"}},
        {
            "number": "+15550100004",
            "hours": {"open": "2020-01-01 09:00-10:00", "closed_forward_to": "+15550100009"},
        },
        {"number": "+15550100005", "hours": {"open": "2020-01-01 09:00-10:00"}},
    )
    assert {one.status for one in found} == {"ok"}
    assert [one.check for one in found] == [f"number +1555010000{last}" for last in (2, 3, 4, 5)]
    log, quiet, forwarded, closed = (one.message for one in found)
    announced = "announced with 'Recorded.', then connected with sip:a@b, and both sides are transcribed"
    assert log == f"calls are {announced}, at all times"
    assert quiet == "calls are only transcribed; it is open now"
    assert "it is closed now, so callers are told so and passed on to +15550100009; else answered by" in forwarded
    assert "hung up on" in closed


def test_an_agent_that_nobody_asks_is_told_of() -> None:
    log = {"mode": "log", "forward_to": "sip:a@b", "agent": {"greeting": "Hi."}}
    (finding,) = numbers({"number": "+15550100002", **log})
    assert (finding.status, "its agent settings have no effect" in finding.message) == ("warning", True)
