"""A call for the tests: its header and a journal with every kind of entry."""

from __future__ import annotations

from bridge.conversation import journal as j
from bridge.store.base import CallHeader
from bridge.store.loudness import Peaks

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
    j.CallArranged(0, {"campaign": "spring"}, "Hello, Blue Door."),
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
    j.DigitsGathered(11900, "4", 1),
    j.MessageLeft(1, " Please call me back.", 11_920, 11_960),
    j.TransferTried(11_980, "+15550100009", "busy", warm=True),
    j.AnswererTold(11_990, "human"),
    j.NoteTaken(12000, {"name": "Zoë 😀", "numbers": [1, 2.5, None], "deep": {"a": True}}),
    j.ProblemMet(12500, "tts", "speech_timeout", "no audio within 3 s"),
    j.Standing(12_550, voice="other", gather={"length": 4, "terminator": "#"}),
    j.RecordingPaused(12_600),
    j.RecordingResumed(12_900),
    j.StreamBroke(13000),
    j.CallTakenOver(14000, 2),
    j.StreamResumed(15000),
    j.CallerSpoke(4, "uh-huh", 15500, 15800, meaning="backchannel"),
    j.CallerSpoke(5, "Bye", 16000, 16400, incomplete=True),
    j.CallClosed(17000, "caller", under_runs=1, lost_marks=2, transfer_to=""),
]

FOR_A_CRASH: list[j.Entry] = [
    j.AgentHeard(3100, 1, 0, "call.started", "Hello, Blue", 20, 262),
    j.AgentRemembered(12_560, {"step": "bike", "tries": 2}),
    j.CallGivenAway(13_950),
]
"""What is kept for a process that may have to go on with the call, or where one does, and of no other call."""

TROUBLED: list[j.Entry] = [
    j.CallOpened(),
    j.AgentSpoke(
        1, 0, "call.started", "Blue Door, good morning. How can I help you?", "", False, 0, 3400, 3, 190, 192, 690
    ),
    # A usual turn: eager end, speculation, and the answer waits for the turn's end.
    j.CallerSpoke(1, "Do you have a table for two tonight?", 4200, 6800, eager_ms=6400),
    j.AgentSpoke(
        *(2, 1, "turn.ended", "We do.", " At what time would", True, 6400, 8600, 6450, 6700, 6800, 7310),
        speculative=True,
    ),
    j.AgentSilenced(8000, 2, 2),
    # The caller went on after an eager end: the first answer was dropped, the second came after the turn.
    j.CallerSpoke(2, " At seven, or no, make that half past eight.", 7900, 13_000, eager_ms=10_600),
    j.SpeculationDropped(11_000, 2, 3),
    j.AgentSpoke(
        4, 2, "turn.ended", "Half past eight it is.", "", False, 13_000, 16_000, 13_420, 13_800, 13_805, 14_310
    ),
    # The agent's own voice comes back, and a listener shows attention.
    j.CallerSpoke(3, "half past eight it", 14_600, 15_700, meaning="echo"),
    j.CallerSpoke(4, "Okay.", 15_900, 16_500, meaning="backchannel"),
    # The service is away for too long.
    j.ProblemMet(17_500, "stt", "connection_lost", "1006: no close frame"),
    j.ProblemMet(17_600, "stt", "connect_failed", "503 Service Unavailable"),
    j.ProblemMet(18_200, "stt", "connect_failed", "503 Service Unavailable"),
    j.ProblemMet(19_400, "stt", "connect_failed", "503 Service Unavailable"),
    j.ProblemMet(23_100, "stt", "connect_failed", "503 Service Unavailable"),
    j.CallerSpoke(5, "And could you", 17_000, 25_500, incomplete=True, degraded=True),
    j.AgentSpoke(
        5,
        5,
        "prompt",
        "I am sorry, I could not hear you. Please say it again.",
        "",
        False,
        25_600,
        28_900,
        25_600,
        25_604,
        25_605,
        26_110,
    ),
    j.CallerSpoke(6, "", 29_500, 31_000, meaning="empty", incomplete=True, degraded=True),
    # An answer that took far longer than the others, and one that was never sent.
    j.CallerSpoke(7, "And could you bring a high chair?", 33_000, 36_000, eager_ms=35_700),
    j.AgentSpoke(
        6,
        7,
        "turn.ended",
        "Of course.",
        "",
        False,
        35_700,
        47_500,
        44_000,
        45_900,
        46_000,
        46_500,
        speculative=True,
    ),
    j.CallerSpoke(
        8,
        "Thanks, that is all. And a very long goodbye to everyone there, it was lovely last time.",
        49_000,
        53_000,
    ),
    j.AgentSpoke(7, 8, "turn.ended", "", "Good-bye and see you tonight!", True, 53_000, 53_900, 53_600),
    j.CallerSpoke(9, " Bye.", 53_700, 54_500, eager_ms=54_300),
    j.AgentSpoke(
        8, 9, "turn.ended", "Good-bye!", "", False, 54_300, 56_000, 54_390, 54_800, 54_801, 55_300, speculative=True
    ),
    j.CallClosed(56_500, "agent", under_runs=2),
]
"""What goes wrong or is out of the ordinary: echo, outage, an outlier, an answer that was never sent."""


def loudness(*sounds: tuple[int, int], length_ms: int, per_second: int = 50, noise: int = 22) -> bytes:
    """A side of a recording: loud from, to (ms), else the noise of a line."""
    sound = bytearray([noise, noise + 4] * (length_ms * per_second // 2000))
    for start, stop in sounds:
        first, last = start * per_second // 1000, stop * per_second // 1000
        for index in range(first, last):
            sound[index] = (112, 98, 104, 60, 90)[index % 5]
    return bytes(sound)


TROUBLED_PEAKS = Peaks(
    50,
    loudness(
        *((3900, 5900), (7800, 10_100), (10_800, 12_200), (14_500, 15_300), (15_800, 16_100), (16_800, 20_000)),
        *((29_200, 30_500), (32_800, 35_100), (48_700, 52_300), (53_500, 53_900)),
        length_ms=56_500,
    ),
    loudness(
        (190, 3400),
        (6800, 8000),
        (13_805, 16_000),
        (25_605, 28_900),
        (46_000, 47_500),
        (54_801, 56_000),
        length_ms=56_500,
        noise=0,
    ),
)

LOG_HEADER = CallHeader(
    id="77aa01",
    sid="CA0123456789abcdef0123456789abcdee",
    caller="+15551234567",
    called="+15557654321",
    direction="inbound",
    started_at="2026-03-01T12:34:56.789+00:00",
    agent_kind="log",
    other="sip:desk@pbx.example.com",
)

LOG_ENTRIES: list[j.Entry] = [
    j.CallOpened(),
    j.PartySpoke("callee", 1, "Blue Door, Ann speaking.", 1200, 2900),
    j.PartySpoke("caller", 1, " Hello, this is Tom. ", 2800, 4600),
    j.PartySpoke("callee", 2, "", 4700, 5000),
    j.ProblemMet(5100, "stt", "speech_unreachable", "callee: gone"),
    j.PartySpoke("callee", 3, "Hi Tom", 5200, 9000, incomplete=True, degraded=True),
    j.TransferTried(9500, "sip:desk@pbx.example.com", "completed", duration_s=9),
    j.CallClosed(9600, "callee"),
]
"""Two people who talk with each other."""
