"""What a TwiML document means to a page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.api.softphone_steps import (
    DialStep,
    DigitsStep,
    HangUpStep,
    OtherStep,
    PauseStep,
    SayStep,
    Step,
    StreamStep,
    steps_of,
)
from bridge.twilio import listening, twiml

STREAM = twiml.answer_with_stream(
    "wss://x/twilio/media",
    action_url="https://x/twilio/stream-ended?leg=3",
    status_url="https://x/s",
    parameters={"token": "t", "colour": "<red>"},
    digits="1w#",
)
TALK = StreamStep(parameters={"token": "t", "colour": "<red>"}, leg="3")
DIAL_ACTION = "https://x/twilio/dial-ended?leg=4"


@pytest.mark.parametrize(
    ("document", "steps"),
    [
        (STREAM, [DigitsStep(digits="1w#"), TALK]),
        (
            listening.announced(STREAM, "This call is recorded.", "de"),
            [SayStep(text="This call is recorded.", language="de-DE"), DigitsStep(digits="1w#"), TALK],
        ),
        (twiml.hang_up("Good-bye."), [SayStep(text="Good-bye.", language="en-US"), HangUpStep()]),
        (twiml.reject("busy"), [HangUpStep()]),
        (twiml.empty(), [HangUpStep()]),
        ("", [OtherStep(verb="a document that is no TwiML")]),
        ("<Response><Gather/><Say>never</Say></Response>", [OtherStep(verb="Gather")]),
        ("<Response><Connect><Room>r</Room></Connect></Response>", [OtherStep(verb="Connect")]),
        (
            '<Response><Pause length="2.5"/><Pause/><Pause length="x"/></Response>',
            [PauseStep(seconds=2.5), PauseStep(seconds=1), PauseStep(seconds=1), HangUpStep()],
        ),
        (
            twiml.dial("+15550100300", caller_id="+1555", timeout_s=12, action_url=DIAL_ACTION, digits="9"),
            [DialStep(to="+15550100300", caller_id="+1555", ring_s=12, digits="9", leg="4")],
        ),
        (twiml.dial("sip:desk@example.com"), [DialStep(to="sip:desk@example.com"), HangUpStep()]),
        (twiml.join_conference("room", action_url=DIAL_ACTION), [DialStep(to="conference:room", leg="4")]),
        ("<Response><Dial>+15550100300</Dial></Response>", [DialStep(to="+15550100300"), HangUpStep()]),
    ],
)
def test_steps(document: str, steps: list[Step]) -> None:
    assert steps_of(document) == steps


@given(st.text() | st.text().map(lambda text: f"<Response><Say>{text}</Say><Dial>{text}</Dial></Response>"))
def test_whatever_a_hand_off_webhook_says_has_an_end(document: str) -> None:
    last = steps_of(document)[-1]
    assert isinstance(last, StreamStep | HangUpStep | OtherStep) or (isinstance(last, DialStep) and last.leg)
