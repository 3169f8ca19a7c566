"""The documents of calls between people."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from bridge.errors import CarrierError
from bridge.twilio import listening, twiml

HOW = listening.Dialling("+15550100009", action_url="https://b.example/ended")


def test_who_can_be_connected_with() -> None:
    good = ("+15550100009", "sip:a@b", "sips:a@b;x=1", "client:ann", "conference:Monday stand-up")
    bad = ("", "5550100009", "+0155", "sip:", "client: ", "conference:", "tel:+1", "+15550100009;x")
    assert [to for to in (*good, *bad) if listening.is_target(to)] == [*good]


def test_a_parameter_that_twilio_would_cut_is_refused() -> None:
    with pytest.raises(CarrierError, match="token is too long: 500 characters with its name, 499 at most"):
        listening.connect_and_listen(
            "wss://b.example/m", HOW, status_url="https://b.example/s", parameters={"token": "x" * 495}
        )


def test_an_announcement_comes_first_and_leaves_the_rest_alone() -> None:
    document = twiml.hang_up()
    assert listening.announced(document, "") == document
    say, hang_up = ET.fromstring(listening.announced(document, 'A <b> & "c" Ü', "de"))
    assert (say.tag, say.text, say.attrib, hang_up.tag) == ("Say", 'A <b> & "c" Ü', {"language": "de-DE"}, "Hangup")
    with pytest.raises(CarrierError, match="bytes long"):
        listening.announced(document, "x" * 65_000)


@pytest.mark.parametrize(("given", "said"), [("en", "en-US"), ("DE", "de-DE"), ("pt-PT", "pt-PT"), ("xx", "xx")])
def test_the_carriers_voice_is_told_its_language(given: str, said: str) -> None:
    assert listening.say_language(given) == said


def test_whoever_is_passed_on_while_closed_hears_why() -> None:
    say, dial, hang_up = ET.fromstring(listening.connect("client:ann", say="Closed.", caller_id="+15550100002"))
    assert (say.text, dial[0].tag, dial.attrib["callerId"], hang_up.tag) == (
        "Closed.",
        "Client",
        "+15550100002",
        "Hangup",
    )
    assert [one.tag for one in ET.fromstring(listening.connect("sip:a@b"))] == ["Dial", "Hangup"]
