"""What the doctor says to each mistake that people make: what is wrong, and what to do about it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge.checks.local import Finding, check_folder
from bridge.command_line.doctor import examine
from bridge.settings.source import load_settings
from tests.command_line.test_doctor import ACCOUNT, World
from tests.scripted_speech import ScriptedSpeech

NOBODY = "http://127.0.0.1:9"
"""Where nothing listens."""


@dataclass
class Place:
    """A bridge's surroundings in which all is well, to be spoilt."""

    world: World
    folder: Path
    patch: pytest.MonkeyPatch
    given: dict[str, str] = field(default_factory=dict)
    stt_status: int = 101

    def give(self, **environment: str) -> None:
        self.given |= {name.upper(): value for name, value in environment.items()}

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    world = World()
    await world.server.start_server()
    world.number("+15550000001", f"{world.url}/twilio/voice")
    monkeypatch.chdir(tmp_path)
    it = Place(world, tmp_path, monkeypatch)
    it.give(
        twilio__account_sid=ACCOUNT,
        twilio__auth_token="hush-hush",
        twilio__api_url=world.url,
        server__public_url=world.url,
        speech__api_key="sk_123456",
        agent__url=f"{world.url}/agent",
        store__recordings=str(tmp_path / "calls"),
    )
    yield it
    await world.server.close()


async def found(place: Place) -> list[Finding]:
    async with ScriptedSpeech(stt_status=place.stt_status).running() as speech:
        place.given.setdefault("SPEECH__BASE_URL", speech.url)
        for name, value in place.given.items():
            place.patch.setenv(f"BRIDGE_{name}", value)
        return await examine()


async def test_where_all_is_well_nothing_is_to_be_mended(place: Place) -> None:
    assert [finding for finding in await found(place) if finding.status != "ok"] == []


def _behind(place: Place) -> None:
    place.world.skew_s = 600


def _leads_elsewhere(place: Place) -> None:
    place.world.numbers.clear()
    place.world.number("+15550000001", "https://other.example/")


def _no_traces(place: Place) -> None:
    place.patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY)
    there = lambda name: None if name == "opentelemetry" else find_spec(name)  # noqa: E731  It is one expression.
    place.patch.setattr("bridge.checks.local.find_spec", there)


MISTAKES: dict[str, tuple[Callable[[Place], object], str, str, str, str]] = {
    # name: how it is made; which check tells, how bad it is, what it says, and what to do
    "a setting that does not exist": (
        lambda p: p.give(server__prot="8080"),
        "settings",
        "failed",
        "BRIDGE_SERVER__PROT",
        "did you mean",
    ),
    "a value that cannot be": (
        lambda p: p.give(server__port="eighty"),
        "settings",
        "failed",
        "BRIDGE_SERVER__PORT",
        "mend it",
    ),
    "an account that is none": (
        lambda p: p.give(twilio__account_sid="123"),
        "settings",
        "failed",
        "BRIDGE_TWILIO__ACCOUNT_SID",
        "mend it",
    ),
    "a wrong key for speech": (
        lambda p: setattr(p, "stt_status", 401),
        "speech to text",
        "failed",
        "was refused",
        "BRIDGE_SPEECH__API_KEY",
    ),
    "a plan without credit": (
        lambda p: setattr(p, "stt_status", 402),
        "speech to text",
        "failed",
        "plan or credit",
        "see the account",
    ),
    "speech that is away": (
        lambda p: p.give(speech__base_url=NOBODY),
        "speech to text",
        "failed",
        "cannot reach",
        "check speech.base_url",
    ),
    "an agent that is down": (
        lambda p: p.give(agent__url=f"{NOBODY}/agent"),
        "agent",
        "failed",
        "Connection refused",
        "start the agent",
    ),
    "an agent that answers 500": (
        lambda p: setattr(p.world, "agent_status", 500),
        "agent",
        "warning",
        "with 500",
        "the agent's own log",
    ),
    "an agent elsewhere": (
        lambda p: setattr(p.world, "agent_status", 404),
        "agent",
        "warning",
        "with 404",
        "path of agent.url",
    ),
    "a flow with a mistake": (
        lambda p: p.give(agent__url=p.file("flow.yaml", "steps: {bye: {do: hang_upp}}")),
        "agent",
        "failed",
        "flow.yaml:1",
        "hang_upp",
    ),
    "a Python agent that is not there": (
        lambda p: p.give(agent__kind="python", agent__url="no_such_module:agent"),
        "agent",
        "failed",
        "no_such_module",
        "agent.url",
    ),
    "a public URL that leads nowhere": (
        lambda p: p.give(server__public_url=NOBODY),
        "public URL",
        "failed",
        "does not answer",
        "phone-bridge serve",
    ),
    "a public URL that leads to something else": (
        lambda p: setattr(p.world, "healthz", (200, "<html>")),
        "public URL",
        "failed",
        "not as a bridge",
        "tunnel or proxy",
    ),
    "a wrong token of Twilio's": (
        lambda p: setattr(p.world, "twilio_status", 401),
        "twilio",
        "failed",
        "401",
        "BRIDGE_TWILIO__AUTH_TOKEN",
    ),
    "a number that leads elsewhere": (
        _leads_elsewhere,
        "number",
        "failed",
        "leads here",
        "set its voice webhook to",
    ),
    "unsigned requests that are taken": (
        lambda p: p.give(twilio__validate="false"),
        "auth token",
        "warning",
        "can place calls",
        "set twilio.validate",
    ),
    "a clock that is off": (_behind, "clock", "failed", "s behind", "NTP"),
    "a folder that cannot be written": (
        lambda p: p.give(store__recordings=p.file("file", "") + "/calls"),
        "recordings",
        "failed",
        "cannot write",
        "BRIDGE_STORE__RECORDINGS",
    ),
    "little room": (
        lambda p: p.patch.setattr("bridge.checks.local.shutil.disk_usage", lambda _: SimpleNamespace(free=10**8)),
        "recordings",
        "warning",
        "0.1 GB are free",
        "make room",
    ),
    "a database that is away": (
        lambda p: p.give(store__url="postgresql://me:hush@127.0.0.1:9/calls"),
        "database",
        "failed",
        "Connection refused",
        "BRIDGE_STORE__URL",
    ),
    "a database that is none": (
        lambda p: p.give(store__url=f"sqlite:///{p.file('calls.db', 'what?' * 1000)}"),
        "database",
        "failed",
        "not a database",
        "put a backup in its place",
    ),
    "a key for recordings that is none": (
        lambda p: p.give(store__encryption_key="letmein"),
        "encryption",
        "failed",
        "openssl rand",
        "put a right key",
    ),
    "traces without their library": (
        _no_traces,
        "traces",
        "failed",
        "phone-bridge[otel]",
        "install it",
    ),
}


ALONG = {
    "a public URL that leads nowhere": {"number"},
    "speech that is away": {"text to speech"},
    "a folder that cannot be written": {"database"},
}
"""What else is told, because it is true as well."""


@pytest.mark.parametrize("name", MISTAKES)
async def test_each_mistake_is_named_and_has_a_remedy(place: Place, name: str) -> None:
    spoil, check, status, says, remedy = MISTAKES[name]
    await asyncio.to_thread(spoil, place)
    wrong = [finding for finding in await found(place) if finding.status != "ok"]
    assert {finding.check for finding in wrong} == {check} | ALONG.get(name, set())
    (first,) = [finding for finding in wrong if finding.check == check]
    assert first.status == status
    assert says in first.message
    # The sentences about speech, agents and Twilio end with what to do.
    assert remedy in f"{first.message} → {first.remedy}"
    assert "hush" not in f"{wrong}"
    assert "sk_123456" not in f"{wrong}"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, which is full."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        yield folder
    finally:
        subprocess.run(["umount", folder], check=False)


def test_a_disk_that_is_full(full: Path) -> None:
    finding = check_folder(load_settings(environment={"BRIDGE_STORE__RECORDINGS": str(full)}, files=()))
    assert (finding.status, finding.message) == ("failed", f"cannot write to {full}: No space left on device")
    assert finding.remedy.startswith("make room")
