from __future__ import annotations

from pathlib import Path

from bridge.bench.names import AGENT_URL, CHAT_URL, PORT, SPEECH_URL
from bridge.bench.systems import Bridge, Command, Place, Relay

PLACE = Place("http://127.0.0.1:5", "token", "key", Path("/somewhere"))


def test_a_bridge_has_its_defaults_but_for_its_peers_and_what_was_set() -> None:
    launch = Bridge({"stt.chunk_ms": "60"}, workers=2).launch(PLACE)
    assert launch.environment["BRIDGE_STT__CHUNK_MS"] == "60"
    assert launch.environment["BRIDGE_SERVER__WORKERS"] == "2"
    assert launch.environment["BRIDGE_SPEECH__BASE_URL"] == PLACE.peers
    assert launch.arguments[-1] != "0", "several processes need a port that is known"
    assert Bridge().launch(PLACE).arguments[-1] == "0"


def test_another_program_is_told_where_its_peers_are() -> None:
    launch = Command("run 'this one' --now").launch(PLACE)
    assert launch.arguments == ("run", "this one", "--now")
    assert launch.environment[SPEECH_URL] == "http://127.0.0.1:5"
    assert launch.environment[AGENT_URL] == "http://127.0.0.1:5/agent"
    assert launch.environment[CHAT_URL] == "http://127.0.0.1:5/v1"
    assert 1024 <= int(launch.environment[PORT]) < 65536
    assert Relay().launch(PLACE).environment.keys() == launch.environment.keys()
