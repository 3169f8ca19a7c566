from __future__ import annotations

import pytest

from bridge.errors import ProtocolError
from bridge.simulator.twiml_reader import (
    Connect,
    Dial,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Start,
    Stream,
    UnknownVerb,
    read_twiml,
)
from bridge.twilio import twiml


def test_every_verb() -> None:
    text = """<?xml version="1.0" encoding="UTF-8"?>
    <Response>
      <Start><Stream url="wss://a.example/tap" track="both_tracks"/></Start>
      <Say voice="alice">Hello &amp; <emphasis>welcome</emphasis></Say>
      <Play digits="ww1"/><Play>https://a.example/b.mp3</Play>
      <Pause/><Pause length="3"/>
      <Dial action="/d" method="GET">+15551112222</Dial>
      <Dial><Number>+1555</Number><Sip>sip:a@b</Sip></Dial>
      <Redirect method="GET">/next</Redirect>
      <Reject/><Hangup/><Record/><Connect><ConversationRelay/></Connect><Connect/><Start><Siprec/></Start>
    </Response>"""
    assert read_twiml(text) == [
        Start(Stream("wss://a.example/tap", track="both_tracks")),
        Say("Hello & welcome"),
        Play("", "ww1"),
        Play("https://a.example/b.mp3"),
        Pause(1.0),
        Pause(3.0),
        Dial(("+15551112222",), "/d", "GET"),
        Dial(("+1555", "sip:a@b")),
        Redirect("/next", "GET"),
        Reject("rejected"),
        Hangup(),
        UnknownVerb("Record"),
        UnknownVerb("Connect with <ConversationRelay>"),
        UnknownVerb("Connect with nothing"),
        UnknownVerb("Start"),
    ]


def test_what_the_bridge_writes_is_read() -> None:
    text = twiml.answer_with_stream(
        "wss://a.example/m",
        action_url="https://a.example/e",
        status_url="https://a.example/s",
        parameters={"token": "<&>", "x": ""},
        name="main",
    )
    assert read_twiml(text) == [
        Connect(
            Stream(
                "wss://a.example/m",
                name="main",
                status_callback="https://a.example/s",
                parameters={"token": "<&>", "x": ""},
            ),
            "https://a.example/e",
        )
    ]
    assert read_twiml(twiml.hang_up("Bye")) == [Say("Bye"), Hangup()]
    assert read_twiml(twiml.dial("+15551112222")) == [Dial(("+15551112222",)), Hangup()]
    assert read_twiml(twiml.reject("busy")) == [Reject("busy")]
    assert read_twiml(twiml.empty()) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "12100"),
        ("hello", "12100"),
        ("<Response><Say></Response>", "12100"),
        ("<Answer/>", "<Answer>"),
        (f"<Response><Say>{'x' * 64_000}</Say></Response>", "11750"),
        ("<Response><Connect><Stream/></Connect></Response>", "no url"),
        ('<Response><Connect><Stream url="wss://a/b?c=1"/></Connect></Response>', "<Parameter>"),
        ('<Response><Connect><Stream url="wss://a" track="both_tracks"/></Connect></Response>', "31941"),
        (
            '<Response><Connect><Stream url="wss://a"><Parameter name="n" value="'
            + "x" * 499
            + '"/></Stream></Connect></Response>',
            "500",
        ),
        ('<Response><Pause length="long"/></Response>', "no number"),
    ],
)
def test_what_twilio_would_refuse(text: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        read_twiml(text)
