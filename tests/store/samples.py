"""A call for the tests: its header and a journal with every kind of entry."""

from __future__ import annotations

from bridge.conversation import journal as j
from bridge.store.base import CallHeader

HEADER = CallHeader(
    id="5f0c2a7be1d9",
    sid="CA0123456789abcdef0123456789abcdef",
    caller="+15551234567",
    called="+15557654321",
    direction="inbound",
    started_at="2026-03-01T12:34:56.789+00:00",
    agent_kind="webhook",
)

ENTRIES: list[j.Entry] = [
    j.CallOpened(),
    j.AgentSpoke(1, 0, "call.started", "Hello, Blue Door.", "", False, 20, 2200, 60, 260, 262, 780),
    j.CallerSpoke(1, " Hi, when do you open? ", 3000, 5000, eager_ms=4700),
    j.SpeculationDropped(4800, 1, 2),
    j.AgentSpoke(
        3, 1, "turn.ended", "We open at", " eight.", True, 5000, 7600, 5400, 5700, 5702, 6100, speculative=True
    ),
    j.AgentSilenced(7200, 2, 3),
    j.CallerSpoke(2, "And on Sunday?", 7150, 8600),
    j.AgentSpoke(4, 2, "turn.ended", "Closed.", "", False, 8600, 11000, 8650, 8900, 8902, 9300),
    j.AgentSilenced(9900, 3, 4),
    j.CallerSpoke(3, "", 9850, 10300, meaning="empty"),
    j.AgentResumed(10350, 3, 4),
    j.KeyPressed(11500, "4"),
    j.KeyPressed(11900, "#"),
    j.NoteTaken(12000, {"name": "Zoë 😀", "numbers": [1, 2.5, None], "deep": {"a": True}}),
    j.ProblemMet(12500, "tts", "speech_timeout", "no audio within 3 s"),
    j.StreamBroke(13000),
    j.StreamResumed(15000),
    j.CallerSpoke(4, "uh-huh", 15500, 15800, meaning="backchannel"),
    j.CallerSpoke(5, "Bye", 16000, 16400, incomplete=True),
    j.CallClosed(17000, "caller", under_runs=1, lost_marks=2, transfer_to=""),
]
