"""Good messages of every protocol and good files of every kind, for the fuzzers to damage."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[2]
_SOUND: Final = base64.b64encode(b"\x7f" * 160).decode()

TWILIO: Final[list[Any]] = [
    {"event": "connected", "protocol": "Call", "version": "1.0.0"},
    {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "accountSid": "AC1",
            "streamSid": "MZ1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": "abc"},
        },
        "streamSid": "MZ1",
    },
    *(
        {
            "event": "media",
            "sequenceNumber": str(number + 2),
            "media": {
                "track": "inbound",
                "chunk": str(number + 1),
                "timestamp": str(number * 20),
                "payload": _SOUND,
            },
            "streamSid": "MZ1",
        }
        for number in range(3)
    ),
    {"event": "dtmf", "streamSid": "MZ1", "sequenceNumber": "5", "dtmf": {"track": "inbound_track", "digit": "1"}},
    {"event": "mark", "streamSid": "MZ1", "sequenceNumber": "6", "mark": {"name": "0.1"}},
    {"event": "stop", "sequenceNumber": "7", "streamSid": "MZ1", "stop": {"accountSid": "AC1", "callSid": "CA1"}},
]
FROM_BRIDGE: Final[list[Any]] = [
    {"event": "media", "streamSid": "MZ1", "media": {"payload": _SOUND}},
    {"event": "mark", "streamSid": "MZ1", "mark": {"name": "0.1"}},
    {"event": "clear", "streamSid": "MZ1"},
]
LISTENING: Final[list[Any]] = [
    {"type": "connected", "request_id": "r"},
    {"type": "turn.start", "request_id": "r"},
    {"type": "turn.update", "request_id": "r", "transcript": "Hello there"},
    {"type": "turn.eager_end", "request_id": "r", "transcript": "Hello there."},
    {"type": "turn.resume", "request_id": "r"},
    {"type": "turn.end", "request_id": "r", "transcript": "Hello there."},
    {
        "type": "transcript",
        "is_final": True,
        "text": "Hello",
        "words": [{"word": "Hello", "start": 0.1, "end": 0.4}],
    },
    {"type": "flush_done", "request_id": "r"},
    {"type": "done", "request_id": "r"},
    {"type": "error", "title": "Oops", "message": "later", "error_code": "odd", "status_code": 500},
    {"type": "config", "turn": {"end_threshold": 0.5}},
    {"type": "close"},
]
SPEAKING: Final[list[Any]] = [
    {"type": "chunk", "context_id": "c", "data": _SOUND, "done": False, "status_code": 206, "step_time": 1.0},
    {
        "type": "timestamps",
        "context_id": "c",
        "done": False,
        "status_code": 206,
        "word_timestamps": {"words": ["a", "b"], "start": [0.0, 0.2], "end": [0.2, 0.4]},
    },
    {"type": "flush_done", "context_id": "c", "flush_id": 1, "flush_done": True, "done": False, "status_code": 206},
    {"type": "done", "context_id": "c", "done": True, "status_code": 200},
    {"type": "error", "context_id": "c", "message": "no", "status_code": 400, "done": True},
    {"context_id": "c", "cancel": True},
    {
        "context_id": "c",
        "model_id": "sonic-latest",
        "transcript": "Hello.",
        "continue": False,
        "voice": {"mode": "id", "id": "v"},
        "language": "en",
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
        "add_timestamps": True,
        "max_buffer_delay_ms": 0,
    },
]
RELAY: Final[list[Any]] = [
    {
        "type": "text",
        "token": "Hello ",
        "last": False,
        "lang": "en-US",
        "interruptible": "any",
        "preemptible": True,
    },
    {"type": "play", "source": "https://example.com/a.wav", "loop": 2, "preemptible": False},
    {"type": "sendDigits", "digits": "12w#"},
    {"type": "language", "ttsLanguage": "en-US", "transcriptionLanguage": "de-DE"},
    {"type": "end", "handoffData": '{"reason": "done"}'},
    {"type": "config", "config": {"interruptible": "speech"}},
    {"type": "hints", "hints": "one, two"},
    {"type": "interrupt"},
    {
        "type": "setup",
        "sessionId": "VX1",
        "callSid": "CA1",
        "from": "+1",
        "to": "+2",
        "customParameters": {"a": "b"},
    },
    {"type": "prompt", "voicePrompt": "Hello", "lang": "en-US", "last": True},
    {"type": "dtmf", "digit": "1"},
]
ACTIONS: Final[list[Any]] = [
    {"say": "Hello."},
    {
        "actions": [
            {"type": "say", "text": "Hello.", "interruptible": False, "voice": "v", "language": "en"},
            {"type": "play", "url": "https://example.com/a.wav", "loop": 2},
            {"type": "send_digits", "digits": "12w#", "by": "carrier"},
            {"type": "gather_digits", "max": 4, "finish_on": "#", "timeout_s": 5, "masked": True},
            {"type": "transfer", "to": "+15551234567", "summary": "A customer", "timeout_s": 30, "digits": "1"},
            {"type": "record_message", "max_s": 60},
            {"type": "set", "voice": "v", "language": "de", "stt": {"keyterms": ["a"]}, "recording": "on"},
            {"type": "note", "data": {"order": 5}},
            {"type": "hang_up", "reason": "done"},
        ]
    },
    {"type": "hang_up"},
]
CHAT: Final[list[Any]] = [
    {"choices": [{"index": 0, "delta": {"content": "Hello "}}]},
    {
        "choices": [
            {
                "index": 0,
                "delta": {
                    "tool_calls": [{"index": 0, "id": "c1", "function": {"name": "hang_up", "arguments": "{}"}}]
                },
                "finish_reason": "tool_calls",
            }
        ]
    },
    {"choices": [{"index": 0, "message": {"content": [{"type": "text", "text": "Hello"}], "refusal": None}}]},
    {"error": {"message": "no", "code": 5, "type": "odd"}},
]
JOURNAL: Final[list[Any]] = [
    {
        "header": {
            "id": "c1",
            "sid": "CA1",
            "caller": "+1",
            "called": "+2",
            "started_at": "2026-01-01T00:00:00+00:00",
        }
    },
    {"entry": "call_opened", "at_ms": 0},
    {"entry": "caller_spoke", "turn": 1, "transcript": "Hello", "started_ms": 1, "ended_ms": 2},
    {"entry": "note_taken", "at_ms": 3, "data": {"a": [1, None]}},
    {"entry": "problem_met", "at_ms": 3, "source": "agent", "code": "c", "message": "m"},
    {"entry": "call_closed", "at_ms": 9, "reason": "caller"},
]
LINKS: Final[list[Any]] = [
    {"begins": 2, "calls": [{"id": "c1", "sid": "CA1", "since": 1.0}]},
    {"call": {"id": "c1", "sid": "CA1"}},
    {"news": ["turn", "c1", {"text": "Hello"}]},
    {"grew": [["2026-01-01/000000-c1", "c1"]]},
    {"over": "c1"},
    {"figures": 1, "text": "phone_bridge_calls 1"},
]

FLOWS: Final = [path.read_text("utf-8") for path in (_ROOT / "config/flows").glob("*.yaml")]
SETTINGS: Final = [
    (_ROOT / "config/bridge.toml").read_text("utf-8").replace("\n#", "\n"),
    '[agent]\nkind = "webhook"\nurl = "http://127.0.0.1/"\n\n[[numbers]]\nnumber = "+15551234567"\nmode = "agent"\n'
    '[numbers.hours]\nopen = ["mon-fri 09:00-17:30"]\ntimezone = "Europe/Berlin"\n[turns]\nbarge_in = "words:2"\n',
]
SCENARIOS: Final = [
    'name = "order"\n[[steps]]\ndo = "wait_for_agent"\n[[steps]]\ndo = "interrupt"\nwav = "a.wav"\nafter_ms = 250\n'
    '[[steps]]\ndo = "digits"\nkeys = "12w#"\n[carrier]\nlag_ms = 20\n',
    'name: hours\nfrom: "+15550100001"\nsteps:\n  - wait_for_agent\n  - say: When are you open?\n  - pause: 500\n'
    '  - interrupt: {text: Stop, when_agent_says: "nine|ten"}\n  - digits: "1#"\n  - expect_text: open at nine\n'
    '    within_ms: 3000\n  - hang_up:\nparties:\n  "+15550100009":\n    answer: busy\n    does:\n'
    "      - pause: 5\n",
    '{"name": "order", "steps": [{"do": "wait_for_agent"}, {"do": "pause", "ms": 5}]}',
]
TWIML: Final = [
    '<?xml version="1.0"?><Response><Say language="en-US">Hi</Say><Connect action="/a"><Stream url="wss://a/b">'
    '<Parameter name="token" value="x"/></Stream></Connect></Response>',
    '<Response><Start><Stream url="wss://a/b" track="both_tracks" statusCallback="/s"/></Start><Dial timeout="20" '
    'callerId="+1555" action="/d"><Number url="/w" statusCallbackEvent="ringing answered" sendDigits="1w2">+1555'
    '</Number><Sip>sip:a@b</Sip><Conference endConferenceOnExit="true">room</Conference></Dial></Response>',
    '<Response><Gather numDigits="4" timeout="3" finishOnKey="#"><Play>https://a/b.wav</Play><Pause length="2"/>'
    '</Gather><Record maxLength="60" playBeep="false"/><Redirect>/x</Redirect><Hangup/></Response>',
]
FORMS: Final = [
    "CallSid=CA1&From=%2B15550100001&To=%2B15550100002&CallStatus=ringing&Direction=inbound",
    "CallSid=CA1&CallStatus=completed&DialCallStatus=busy&DialCallDuration=5&SequenceNumber=2",
]
