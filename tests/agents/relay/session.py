"""A session of ConversationRelay in the shape that its reference documents, message by message.

A hotel's desk: the caller wants another room, cuts in, keys a code, changes the language, and is handed on.
"""

from __future__ import annotations

from typing import Any

from bridge.agents.relay import wire

SESSION_ID = "VX0123456789abcdef0123456789abcdef"
CALL_SID = "CA0123456789abcdef0123456789abcdef"
ACCOUNT_SID = "ACfedcba9876543210fedcba9876543210"

SETUP: dict[str, Any] = {
    "type": "setup",
    "sessionId": SESSION_ID,
    "accountSid": ACCOUNT_SID,
    "parentCallSid": "",
    "callSid": CALL_SID,
    "from": "+15550001111",
    "to": "+15552223333",
    "forwardedFrom": "",
    "callType": "PSTN",
    "callerName": "",
    "direction": "inbound",
    "callStatus": "RINGING",
    "customParameters": {"guest": "suite", "locale": "en-GB"},
}

FROM_TWILIO: list[tuple[dict[str, Any], wire.ToApp]] = [
    (
        SETUP,
        wire.Setup(
            session_id=SESSION_ID,
            call_sid=CALL_SID,
            account_sid=ACCOUNT_SID,
            from_="+15550001111",
            to="+15552223333",
            custom_parameters={"guest": "suite", "locale": "en-GB"},
        ),
    ),
    (
        {"type": "prompt", "voicePrompt": "Could I have", "lang": "en-GB", "last": False},
        wire.Prompt("Could I have", "en-GB", last=False),
    ),
    (
        {"type": "prompt", "voicePrompt": "Could I have another room?", "lang": "en-GB", "last": True},
        wire.Prompt("Could I have another room?", "en-GB"),
    ),
    (
        {"type": "interrupt", "utteranceUntilInterrupt": "Yes, room twelve", "durationUntilInterruptMs": 1240},
        wire.Interrupt("Yes, room twelve", 1240),
    ),
    ({"type": "dtmf", "digit": "7"}, wire.Dtmf("7")),
    ({"type": "dtmf", "digit": "#"}, wire.Dtmf("#")),
    ({"type": "info", "name": "agentSpeaking", "value": "on"}, wire.Info("agentSpeaking", "on")),
    (
        {"type": "error", "description": 'Invalid message received: {"type":"shout","text":"no such type"}'},
        wire.complaint('{"type":"shout","text":"no such type"}'),
    ),
]

FROM_APP: list[tuple[dict[str, Any], wire.FromApp]] = [
    ({"type": "text", "token": "Yes, ", "last": False}, wire.Text("Yes, ")),
    ({"type": "text", "token": "", "last": True}, wire.Text("", last=True)),
    (
        {"type": "text", "token": "Key in your code.", "last": True, "interruptible": False},
        wire.Text("Key in your code.", last=True, interruptible=False),
    ),
    (
        {
            "type": "play",
            "source": "https://hotel.example.com/bell.wav",
            "loop": 2,
            "preemptible": False,
            "interruptible": False,
        },
        wire.PlayMedia("https://hotel.example.com/bell.wav", 2, interruptible=False),
    ),
    ({"type": "sendDigits", "digits": "9ww1#"}, wire.SendDigits("9ww1#")),
    (
        {"type": "language", "ttsLanguage": "fr-FR", "transcriptionLanguage": "fr-FR"},
        wire.Language("fr-FR", "fr-FR"),
    ),
    (
        {"type": "text", "token": "C'est fait.", "last": True, "lang": "fr-FR", "preemptible": True},
        wire.Text("C'est fait.", last=True, lang="fr-FR", preemptible=True),
    ),
    ({"type": "end", "handoffData": '{"why":"wants a person"}'}, wire.End('{"why":"wants a person"}')),
    ({"type": "end"}, wire.End()),
]
