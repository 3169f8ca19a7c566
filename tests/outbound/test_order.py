"""What may be ordered of a call, and which numbers may be called."""

from __future__ import annotations

import pytest

from bridge.outbound.order import Order, OrderRefused, Rules, e164

OURS = "+15550100002"


def refused(rules: Rules, to: str = "+15550100001", **more: object) -> OrderRefused:
    with pytest.raises(OrderRefused) as caught:
        rules.order(to, **more)  # type: ignore[arg-type]  # of any kind
    return caught.value


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+15550100001", "+15550100001"),
        ("+1 (555) 010-0001", "+15550100001"),
        ("+49 30.1234567", "+49301234567"),
        ("15550100001", ""),
        ("+05550100001", ""),
        ("+1555", ""),
        ("+1555010000123456", ""),
        ("+1555010000a", ""),
        ("sip:jo@example.com", ""),
        ("+15550100001\n", "+15550100001"),
        ("+1555010000\uff11", ""),
        ("", ""),
    ],
)
def test_numbers_are_e164_whatever_people_put_between_the_digits(written: str, number: str) -> None:
    assert e164(written) == number


def test_what_is_left_open_is_filled_in_from_the_settings() -> None:
    rules = Rules(from_number=OURS, ring_seconds=25, detect_machines="async", voicemail="Call us.")
    assert rules.order("+15550100001") == Order(
        "+15550100001", OURS, voicemail="Call us.", detect_machines="async", ring_seconds=25
    )


def test_what_is_asked_for_counts_more_than_the_settings() -> None:
    rules = Rules(from_number=OURS, ring_seconds=25, detect_machines="async", voicemail="Call us.")
    order = rules.order(
        "+15550100001",
        from_number="+1 555 010 0009",
        parameters={"name": "Jo"},
        voicemail="",
        detect_machines="off",
        ring_seconds=10,
        greeting="Hello Jo!",
    )
    assert order == Order("+15550100001", "+15550100009", {"name": "Jo"}, "", "off", 10, "Hello Jo!")


def test_a_number_that_is_none_is_refused_with_an_example() -> None:
    error = refused(Rules(from_number=OURS), "555-0100")
    assert (error.code, error.field) == ("number_invalid", "to")
    assert str(error) == "'555-0100' is no phone number: wanted one such as +15551234567, + included"


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        (("+*",), True),
        (("+1555*",), True),
        (("+49*", "+1555*"), True),
        (("+15550100001",), True),
        (("+155501000010*",), False),
        (("+1555010000",), False),
        (("+49*",), False),
        ((), False),
    ],
)
def test_only_allowed_numbers_are_called(allow: tuple[str, ...], *, allowed: bool) -> None:
    rules = Rules(from_number=OURS, allow=allow)
    if allowed:
        assert rules.order("+1 555 010 0001").to == "+15550100001"
    else:
        error = refused(rules)
        assert (error.code, error.field) == ("number_not_allowed", "to")
        assert "outbound.allow (BRIDGE_OUTBOUND__ALLOW)" in str(error)


def test_a_number_to_call_from_is_needed_and_must_be_one() -> None:
    missing = refused(Rules())
    assert (missing.code, missing.field) == ("from_missing", "from")
    assert "outbound.from_number (BRIDGE_OUTBOUND__FROM_NUMBER)" in str(missing)
    wrong = refused(Rules(from_number=OURS), from_number="sales")
    assert (wrong.code, wrong.field) == ("number_invalid", "from")


def test_a_message_that_no_machine_would_be_told_is_refused() -> None:
    error = refused(Rules(from_number=OURS), voicemail="Call us.")
    assert (error.code, error.field) == ("voicemail_unheard", "voicemail")
    assert Rules(from_number=OURS, voicemail="Call us.").order("+15550100001").detect_machines == "off"
