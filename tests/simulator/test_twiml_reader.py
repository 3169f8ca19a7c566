from __future__ import annotations

import pytest

from bridge.errors import ProtocolError
from bridge.simulator.twiml_reader import read_twiml
from bridge.simulator.verbs import (
    Conference,
    Connect,
    Dial,
    Gather,
    Hangup,
    Pause,
    Play,
    Record,
    Redirect,
    Reject,
    Say,
    Start,
    Stop,
    Stream,
    Target,
    UnknownVerb,
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
        Dial((Target("number", "+15551112222"),), "/d", "GET"),
        Dial((Target("number", "+1555"), Target("sip", "sip:a@b"))),
        Redirect("/next", "GET"),
        Reject("rejected"),
        Hangup(),
        Record(),
        UnknownVerb("Connect with <ConversationRelay>"),
        UnknownVerb("Connect with nothing"),
        UnknownVerb("Start"),
    ]


def test_attributes_of_the_verbs_that_connect_and_listen() -> None:
    text = """<Response>
      <Dial callerId="+1999" timeout="12" timeLimit="60" sequential="true">
        <Number url="/whisper" method="GET" sendDigits="ww1" statusCallback="/s" statusCallbackMethod="GET"
                statusCallbackEvent="initiated answered completed">+1555</Number>
        <Client>bob</Client>
      </Dial>
      <Dial><Conference startConferenceOnEnter="false" endConferenceOnExit="true" muted="true" waitUrl=""
             statusCallback="/c" statusCallbackEvent="start end" participantLabel="boss">room 1</Conference></Dial>
      <Gather input="dtmf speech" numDigits="4" timeout="3" finishOnKey="*" action="/g" actionOnEmptyResult="true">
        <Say>PIN</Say><Play>https://a.example/a.wav</Play><Pause/>
      </Gather>
      <Record action="/r" maxLength="30" finishOnKey="#" timeout="2" playBeep="false" recordingStatusCallback="/s"/>
      <Stop><Stream name="tap"/></Stop>
    </Response>"""
    assert read_twiml(text) == [
        Dial(
            (
                Target(
                    "number", "+1555", "/whisper", "GET", "ww1", "/s", "GET", ("initiated", "answered", "completed")
                ),
                Target("client", "bob"),
            ),
            timeout_s=12,
            time_limit_s=60,
            caller_id="+1999",
            sequential=True,
        ),
        Dial(
            (
                Conference(
                    "room 1",
                    start_on_enter=False,
                    end_on_exit=True,
                    muted=True,
                    label="boss",
                    status_callback="/c",
                    status_callback_events=("start", "end"),
                ),
            )
        ),
        Gather(
            (Say("PIN"), Play("https://a.example/a.wav"), Pause()),
            "/g",
            input="dtmf speech",
            timeout_s=3,
            finish_on_key="*",
            num_digits=4,
            action_on_empty_result=True,
        ),
        Record("/r", timeout_s=2, finish_on_key="#", max_length_s=30, play_beep=False, status_callback="/s"),
        Stop("tap"),
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
    assert read_twiml(twiml.dial("+15551112222")) == [Dial((Target("number", "+15551112222"),)), Hangup()]
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
        ('<Response><Gather numDigits="four"/></Response>', "no number"),
        ('<Response><Play digits="1x"/></Response>', "no key"),
        ("<Response><Dial><Queue>support</Queue></Dial></Response>", "<Queue>"),
        ('<Response><Dial><Conference muted="yes">a</Conference></Dial></Response>', "neither true nor false"),
        ('<Response><Start><Stream url="wss://a" track="all"/></Start></Response>', "31941"),
    ],
)
def test_what_twilio_would_refuse(text: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        read_twiml(text)
