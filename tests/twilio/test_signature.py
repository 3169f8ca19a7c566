from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # the library has no types

from bridge.twilio.signature import sign, verify, verify_upgrade

TOKEN = "0123456789abcdef0123456789abcdef"
MEDIA_URL = "wss://voice.example.com/twilio/media"
VOICE_URL = "https://voice.example.com/twilio/voice?tenant=a%20b"
FORM = [
    ("AccountSid", "AC" + "1" * 32),
    ("ApiVersion", "2010-04-01"),
    ("CallSid", "CA" + "2" * 32),
    ("CallStatus", "ringing"),
    ("CallerCity", ""),
    ("Direction", "inbound"),
    ("From", "+14155550100"),
    ("To", "+14155550199"),
]
VECTORS: list[tuple[str, list[tuple[str, str]], str]] = [
    (MEDIA_URL, [], "3Wv0T80qzAY3OCARW9y1gnUJZtE="),
    (VOICE_URL, FORM, "CJ/0Oleg3ybdDKpL87Iwne5lvT0="),
    ("wss://voice.example.com/cr?token=t1", [], "VR9nY+ufwo97s6ik6tMwow6tBDc="),
]


@pytest.mark.parametrize(("url", "form", "signature"), VECTORS)
def test_vectors(url: str, form: list[tuple[str, str]], signature: str) -> None:
    assert sign(TOKEN, url, form) == signature
    assert verify(TOKEN, url, form, signature)
    assert verify(TOKEN, url, form[::-1], signature), "the order of the form must not matter"


@pytest.mark.parametrize(
    ("url", "form"),
    [
        (VOICE_URL.replace("%20", "+"), FORM),
        (VOICE_URL.replace("https", "wss"), FORM),
        (VOICE_URL, [*FORM, ("Digits", "1")]),
        (VOICE_URL, [field for field in FORM if field[0] != "CallerCity"] + [("CallerCity", "x")]),
        (VOICE_URL + "/", FORM),
        (VOICE_URL, []),
    ],
)
def test_another_request_does_not_fit(url: str, form: list[tuple[str, str]]) -> None:
    assert not verify(TOKEN, url, form, sign(TOKEN, VOICE_URL, FORM))


def test_missing_wrong_and_odd_headers() -> None:
    right = sign(TOKEN, VOICE_URL, FORM)
    for signature in (None, "", " ", right[:-1], right + "=", right.lower(), "é", "\udc80"):
        assert not verify(TOKEN, VOICE_URL, FORM, signature)


def test_blank_values_and_repeated_names() -> None:
    form = [("Digits", "2"), ("To", ""), ("Digits", "1"), ("Digits", "2")]
    signature = sign(TOKEN, VOICE_URL, form)
    assert signature == RequestValidator(TOKEN).compute_signature(VOICE_URL, MultiDict(form))
    assert verify(TOKEN, VOICE_URL, form, signature)
    assert not verify(TOKEN, VOICE_URL, [("Digits", "2"), ("To", "")], signature)
    # A blank field adds its name to what is signed, so one that is dropped is noticed.
    assert not verify(TOKEN, VOICE_URL, [("Digits", "2"), ("Digits", "1")], signature)


def test_rotation_of_tokens() -> None:
    signature = sign("new", VOICE_URL, FORM)
    assert verify(["old", "new"], VOICE_URL, FORM, signature)
    assert not verify(["old", "older"], VOICE_URL, FORM, signature)
    assert not verify([], VOICE_URL, FORM, signature)


def test_an_empty_token_fits_nothing() -> None:
    assert not verify("", VOICE_URL, FORM, sign("", VOICE_URL, FORM))
    assert not verify(["", TOKEN], VOICE_URL, FORM, sign("", VOICE_URL, FORM))


@pytest.mark.parametrize(
    ("signed", "asked"),
    [
        ("https://voice.example.com/a?b=1", "https://voice.example.com:443/a?b=1"),
        ("https://voice.example.com:443/a?b=1", "https://voice.example.com/a?b=1"),
        ("http://voice.example.com/a", "http://voice.example.com:80/a"),
        ("http://voice.example.com:80/a", "http://voice.example.com/a"),
        ("wss://voice.example.com:443/a", "wss://voice.example.com/a"),
        ("wss://voice.example.com/a", "wss://voice.example.com:8443/a"),
        ("https://voice.example.com/a?", "https://voice.example.com:443/a?"),
        ("https://[2001:db8::1]/a", "https://[2001:db8::1]:443/a"),
        ("https://[2001:db8::1]:443/a", "https://[2001:db8::1]/a"),
        ("https://Voice.Example.com/a", "https://Voice.Example.com:443/a"),
        ("https://u:p@voice.example.com/a", "https://u:p@voice.example.com:443/a"),
        ("https://voice.example.com/a", "https://voice.example.com/a#rc=2&rt=5000"),
    ],
)
def test_with_and_without_port(signed: str, asked: str) -> None:
    signature = RequestValidator(TOKEN).compute_signature(signed, {"A": "1"})
    assert verify(TOKEN, asked, [("A", "1")], signature)


def test_a_url_that_was_signed_with_the_fragment_that_it_was_handed_out_with() -> None:
    signature = RequestValidator(TOKEN).compute_signature("https://voice.example.com/a?leg=1#rc=5", {"A": "1"})
    asked = "https://voice.example.com:443/a?leg=1"
    assert verify(TOKEN, asked, [("A", "1")], signature, fragment="#rc=5")
    assert not verify(TOKEN, asked, [("A", "1")], signature, fragment="#rc=4")
    assert not verify(TOKEN, asked, [("A", "1")], signature)


def test_another_port_does_not_fit() -> None:
    signature = sign(TOKEN, "https://voice.example.com:8443/a", [])
    assert not verify(TOKEN, "https://voice.example.com:9443/a", [], signature)
    assert not verify(TOKEN, "https://voice.example.com/a", [], signature)


@pytest.mark.parametrize("url", ["", "x", "https://a:port/", "https://[::1/", "https://a/\udc80", "//a", "https:a"])
def test_a_strange_url_is_refused_and_not_an_error(url: str) -> None:
    assert not verify(TOKEN, url, [], "3Wv0T80qzAY3OCARW9y1gnUJZtE=")
    assert not verify_upgrade(TOKEN, url, "3Wv0T80qzAY3OCARW9y1gnUJZtE=")


@given(st.text(), st.lists(st.tuples(st.text(), st.text())), st.none() | st.text())
def test_whatever_a_stranger_sends_is_refused(url: str, form: list[tuple[str, str]], signature: str | None) -> None:
    assert not verify(TOKEN, url, form, signature)


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=8))
def test_the_real_library_accepts_what_is_signed_here(form: list[tuple[str, str]]) -> None:
    assert RequestValidator(TOKEN).validate(VOICE_URL, MultiDict(form), sign(TOKEN, VOICE_URL, form))


def test_upgrades() -> None:
    assert verify_upgrade(TOKEN, MEDIA_URL, VECTORS[0][2])
    assert verify_upgrade(TOKEN, MEDIA_URL + "/", VECTORS[0][2])
    assert verify_upgrade([TOKEN, "x"], MEDIA_URL, sign(TOKEN, MEDIA_URL + "/", []))
    assert verify_upgrade(
        TOKEN, "ws://127.0.0.1:8080/twilio/media", sign(TOKEN, "ws://127.0.0.1:8080/twilio/media", [])
    )
    assert not verify_upgrade(TOKEN, MEDIA_URL.replace("wss", "https"), VECTORS[0][2])
    assert not verify_upgrade(TOKEN, MEDIA_URL + "x", VECTORS[0][2])
    assert not verify_upgrade("other", MEDIA_URL, VECTORS[0][2])
    assert not verify_upgrade(TOKEN, MEDIA_URL, None)
