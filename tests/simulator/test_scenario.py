from __future__ import annotations

import pytest

from bridge.errors import SettingsError
from bridge.simulator.scenario import Digits, Interrupt, Say, Scenario, WaitForAgent, parse, sound_of


def test_toml_and_json_are_the_same() -> None:
    toml = """
    name = "order"
    [[steps]]
    do = "wait_for_agent"
    [[steps]]
    do = "interrupt"
    wav = "a.wav"
    after_ms = 250
    [[steps]]
    do = "digits"
    keys = "12w#"
    """
    json = """{"name": "order", "steps": [{"do": "wait_for_agent"},
        {"do": "interrupt", "wav": "a.wav", "after_ms": 250}, {"do": "digits", "keys": "12w#"}]}"""
    expected = (WaitForAgent(), Interrupt(wav="a.wav", after_ms=250), Digits(keys="12w#"))
    for text, as_json in ((toml, False), (json, True)):
        scenario = parse(text, name="x", as_json=as_json)
        assert (scenario.name, scenario.steps) == ("order", expected)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ('do = "sing"', "sing"),
        ('wav = "a.wav"', "do"),
        ('do = "say"', "needs wav or silence_ms"),
        ('do = "say"\nwav = "a.wav"\nvolume = 3', "volume"),
        ('do = "pause"', "ms"),
        ('do = "pause"\nms = -1', "ms is -1"),
        ('do = "pause"\nms = "long"', "steps[0].ms"),
        ('do = "digits"\nkeys = "12x"', "'12x'"),
        ('do = "digits"\nkeys = ""', "0-9"),
        ("do = ", "Invalid value"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file_and_the_step(step: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse("[[steps]]\n" + step, name="call.toml", as_json=False)
    assert says in caught.value.message
    assert caught.value.message.startswith("scenario call.toml")
    assert "\n" not in caught.value.message


def test_json_that_is_none() -> None:
    for text in ("{", "[]", "{}", '{"steps": 1}', '{"steps": [], "sounds": {}}', b"\xff"):
        with pytest.raises(SettingsError, match="scenario x"):
            parse(text, name="x", as_json=True)


def test_what_a_step_says() -> None:
    scenario = Scenario("x", (), {"a.wav": b"\x01\x02"})
    assert sound_of(Say(wav="a.wav", silence_ms=1), scenario) == b"\xff" * 8 + b"\x01\x02"
    assert sound_of(Interrupt(wav="a.wav"), scenario) == b"\x01\x02"
    assert sound_of(Say(silence_ms=2), scenario) == b"\xff" * 16
