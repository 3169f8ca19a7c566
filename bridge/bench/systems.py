"""What can be put under the load: this bridge, the bare relay, and any other program that speaks to the same peers.

Another program (`--system command --command "…"`) is started with these environment variables:

* `BENCH_SPEECH_URL`: origin of a Cartesia-like service, `http://127.0.0.1:…`: `/stt/turns/websocket` for the turns
  (`encoding` `pcm_mulaw` or `pcm_s16le`, `sample_rate=8000`) and `/tts/websocket` for speech (the same two
  encodings); it takes any key and any version;
* `BENCH_AGENT_URL`: a webhook that answers `POST {"turn": {"transcript": …}}` with `{"say": …}`;
* `BENCH_CHAT_URL`: base URL of an OpenAI-compatible model, `…/v1`, streamed or not;
* `BENCH_PORT`: a free port to listen on;
* `BENCH_AUTH_TOKEN`: the carrier's auth token: requests and stream upgrades are signed with it;
* `BENCH_FOLDER`: where it may write, also its working directory. Its standard error is kept there.

When it takes calls it prints a line that ends with `ready at URL`. `ws://…` is the address of the media stream,
which is then opened without a webhook; `http://…` is an origin whose `/twilio/voice` is asked first and answers
TwiML with a `<Connect><Stream>`. It is ended by SIGTERM.

The caller's words hold `line N`, and so must what the program asks to have spoken: that is how the speech service
knows which call it is for. What the agent answers holds it. The media stream's audio must reach the recogniser
unchanged, byte for byte (through linear samples and back is fine), because that is what is counted; the same
holds for the speech on its way back. Voice activity detection of its own has nothing to find in it.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bridge.bench.names import AGENT_PATH, AGENT_URL, AUTH_TOKEN, CHAT_BASE, CHAT_URL, FOLDER, PORT, SPEECH_URL
from bridge.children import own_module


@dataclass(frozen=True, slots=True)
class Launch:
    """How a system is started."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    """Beside what is inherited, without this user's settings of a bridge."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a system is told."""

    peers: str
    """Origin of all of its peers."""
    token: str
    """The carrier's auth token."""
    key: str
    """The webhook agent's secret."""
    folder: Path


class System(Protocol):
    """Something to be measured."""

    @property
    def name(self) -> str:
        """What it is called in results."""

    def launch(self, place: Place) -> Launch:
        """How to start it there."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """This bridge as a user starts it: defaults, apart from where its peers are and `settings`."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """`section.key` → value."""
    workers: int = 1

    @property
    def name(self) -> str:
        """See `System.name`."""
        return "bridge"

    def launch(self, place: Place) -> Launch:
        """See `System.launch`."""
        own = {
            "BRIDGE_SPEECH__BASE_URL": place.peers,
            "BRIDGE_SPEECH__API_KEY": "bench",
            "BRIDGE_AGENT__KIND": "webhook",
            "BRIDGE_AGENT__URL": place.peers + AGENT_PATH,
            "BRIDGE_AGENT__SECRET": place.key,
            "BRIDGE_TWILIO__AUTH_TOKEN": place.token,
            "BRIDGE_STORE__RECORDINGS": str(place.folder / "calls"),
            "BRIDGE_LOG__FORMAT": "json",
            "XDG_STATE_HOME": str(place.folder / "state"),
        }
        own |= {f"BRIDGE_{name.replace('.', '__').upper()}": value for name, value in self.settings.items()}
        # Several processes cannot each choose a port of their own.
        port = str(free_port()) if self.workers > 1 else "0"
        own["BRIDGE_SERVER__WORKERS"] = str(self.workers)
        return Launch(own_module("bridge", "serve", "--port", port), own)


@dataclass(frozen=True, slots=True)
class Relay:
    """The bare relay; see `relay`."""

    @property
    def name(self) -> str:
        """See `System.name`."""
        return "relay"

    def launch(self, place: Place) -> Launch:
        """See `System.launch`."""
        return Launch(own_module("bridge.bench.relay"), _environment(place))


@dataclass(frozen=True, slots=True)
class Command:
    """Any program; see the module."""

    command: str

    @property
    def name(self) -> str:
        """See `System.name`."""
        return f"command: {self.command}"

    def launch(self, place: Place) -> Launch:
        """See `System.launch`."""
        return Launch(tuple(shlex.split(self.command)), _environment(place))


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(place: Place) -> dict[str, str]:
    return {
        SPEECH_URL: place.peers,
        AGENT_URL: place.peers + AGENT_PATH,
        CHAT_URL: place.peers + CHAT_BASE,
        PORT: str(free_port()),
        AUTH_TOKEN: place.token,
        FOLDER: str(place.folder),
    }
