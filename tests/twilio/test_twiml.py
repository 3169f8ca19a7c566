from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from bridge.errors import CarrierError
from bridge.twilio import twiml


def answer(parameters: dict[str, str]) -> ET.Element:
    text = twiml.answer_with_stream(
        "wss://voice.example.com/twilio/media",
        action_url="https://voice.example.com/twilio/stream-ended",
        status_url="https://voice.example.com/twilio/status",
        parameters=parameters,
        name="main",
    )
    return ET.fromstring(text)


def test_an_answer_connects_a_stream_both_ways() -> None:
    root = answer({"token": "abc", "note": 'a<b & "c"'})

    assert [child.tag for child in root] == ["Connect"]
    connect = root[0]
    assert connect.attrib == {"action": "https://voice.example.com/twilio/stream-ended", "method": "POST"}
    stream = connect[0]
    assert stream.tag == "Stream"
    assert stream.attrib == {
        "url": "wss://voice.example.com/twilio/media",
        "name": "main",
        "statusCallback": "https://voice.example.com/twilio/status",
        "statusCallbackMethod": "POST",
    }
    assert [(entry.tag, entry.attrib) for entry in stream] == [
        ("Parameter", {"name": "token", "value": "abc"}),
        ("Parameter", {"name": "note", "value": 'a<b & "c"'}),
    ]


def test_a_parameter_stays_under_500_characters_with_its_name() -> None:
    assert answer({"token": "x" * 494}) is not None
    with pytest.raises(CarrierError, match="token is too long: 500 characters") as caught:
        answer({"token": "x" * 495})
    assert caught.value.code == "carrier_request"


def test_a_document_stays_under_64_kilobytes() -> None:
    with pytest.raises(CarrierError, match="Twilio takes 64000"):
        answer({f"p{index}": "ü" * 400 for index in range(80)})


def test_a_document_begins_with_its_declaration() -> None:
    assert twiml.empty() == '<?xml version="1.0" encoding="UTF-8"?><Response />'


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (twiml.hang_up(), "<Hangup />"),
        (twiml.hang_up("Bye & thanks"), '<Say language="en-US">Bye &amp; thanks</Say><Hangup />'),
        (twiml.dial("+15551234567"), '<Dial timeout="30"><Number>+15551234567</Number></Dial><Hangup />'),
        (
            twiml.dial("sip:me@example.org", caller_id="+15557654321", timeout_s=20, action_url="https://a.b/"),
            '<Dial action="https://a.b/" callerId="+15557654321" timeout="20"><Sip>sip:me@example.org</Sip></Dial>',
        ),
        (
            twiml.dial("+15551234567", say="Wait, please <3", language="en-GB"),
            '<Say language="en-GB">Wait, please &lt;3</Say><Dial timeout="30"><Number>+15551234567</Number></Dial>'
            "<Hangup />",
        ),
        (twiml.reject(), '<Reject reason="rejected" />'),
        (twiml.reject("busy"), '<Reject reason="busy" />'),
    ],
)
def test_short_documents(text: str, body: str) -> None:
    assert text == f'<?xml version="1.0" encoding="UTF-8"?><Response>{body}</Response>'


@pytest.mark.parametrize("target", ["", "5551234567", "desk@example.com", "+1555x", "sip:", "+15551234567\n"])
def test_only_numbers_and_sip_addresses_can_be_dialled(target: str) -> None:
    with pytest.raises(CarrierError, match="cannot transfer"):
        twiml.dial(target)
