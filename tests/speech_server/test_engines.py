"""The engines that are installed, and what is said about those that are not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bridge.errors import MissingExtraError, SettingsError
from bridge.speech_server import samples
from bridge.speech_server.engine import Samples, load_detector, load_recognizer, load_voice_engine
from bridge.speech_server.engines import moonshine


def sixteen(mulaw: bytes) -> Samples:
    return samples.resampled(samples.to_floats(samples.decode(mulaw, "pcm_mulaw")), 8000, 16000)


def test_moonshine_understands_recorded_speech(sentence: bytes) -> None:
    recognizer = load_recognizer("moonshine")
    assert recognizer.languages == frozenset({"en"})
    assert recognizer.transcribe(sixteen(sentence), "en").lower().strip(".,") == "it was the age of foolishness"
    assert recognizer.transcribe(np.zeros(100, np.float32), "en") == ""


def test_moonshine_takes_a_folder(assets: Path, sentence: bytes) -> None:
    recognizer = load_recognizer("moonshine", str(assets / "tiny-en"))
    assert "foolishness" in recognizer.transcribe(sixteen(sentence), "en")


def test_moonshine_with_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot load its model"):
        load_recognizer("moonshine", str(tmp_path))


def test_moonshine_fetches_what_is_named_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, assets: Path, sentence: bytes
) -> None:
    import moonshine_voice  # type: ignore[import-untyped]  # it has no types

    asked: list[Any] = []

    def fetch(language: str, arch: Any) -> tuple[str, Any]:
        asked.append((language, arch.name))
        if arch.name != "BASE":
            raise OSError("no network")
        return str(assets / "tiny-en"), moonshine_voice.ModelArch.TINY

    monkeypatch.setattr(moonshine_voice, "get_model_for_language", fetch)
    load_recognizer("moonshine")
    assert asked == []
    assert "foolishness" in load_recognizer("moonshine", "base").transcribe(sixteen(sentence), "en")
    with pytest.raises(SettingsError, match=r"cannot fetch.*no network.*folder"):
        load_recognizer("moonshine", "medium_streaming")
    with pytest.raises(SettingsError, match="neither a folder nor one of base,"):
        load_recognizer("moonshine", "huge")
    # A wheel without the model (they exist) is no reason to fail where there is a network.
    monkeypatch.setattr(moonshine, "_FILES", ("gone.ort",))
    with pytest.raises(SettingsError, match="cannot fetch the model 'tiny'"):
        load_recognizer("moonshine")
    assert asked == [("en", "BASE"), ("en", "MEDIUM_STREAMING"), ("en", "TINY")]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_silero_tells_speech_from_silence_and_forgets(rate: int, sentence: bytes) -> None:
    detector = load_detector(rate)
    assert detector.window_samples == rate * 32 // 1000
    speech = sixteen(sentence)[:: 16000 // rate]

    def scores(audio: Samples) -> list[float]:
        size = detector.window_samples
        return [detector.score(audio[at : at + size]) for at in range(0, len(audio) - size, size)]

    first = scores(speech)
    assert sum(score > 0.5 for score in first) > 30
    detector.reset()
    assert scores(speech) == first
    detector.reset()
    assert max(scores(np.zeros(rate, np.float32))) < 0.3


def test_nanotts_speaks_with_all_its_voices() -> None:
    engine = load_voice_engine("nanotts")
    assert engine.voices[:2] == ("en-US", "en-GB")
    for voice in engine.voices:
        sound = samples.to_floats(engine.speak("One, two.", voice=voice, speed=1.0, volume=1.0))
        assert 0.5 < len(sound) / engine.sample_rate < 3
        assert 0.1 < np.abs(sound).max() < 0.99, "it must not clip"
    assert engine.speak("…", voice="en-US", speed=1.0, volume=1.0) == b""


def test_nanotts_takes_no_model() -> None:
    with pytest.raises(SettingsError, match="takes no model"):
        load_voice_engine("nanotts", "big")


@pytest.mark.parametrize(
    ("load", "name", "module", "extra"),
    [
        (load_recognizer, "moonshine", "moonshine_voice", "local"),
        (load_recognizer, "whisper", "faster_whisper", "whisper"),
        (load_voice_engine, "nanotts", "py_nanotts", "local"),
        (load_voice_engine, "piper", "piper", "piper"),
    ],
)
def test_what_is_not_installed_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, load: Any, name: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        load(name)
    assert caught.value.extra == extra
    assert f"pip install 'phone-bridge[{extra}]'" in caught.value.message


def test_names_that_are_not_known() -> None:
    with pytest.raises(SettingsError, match=r"'siri'.*moonshine, whisper"):
        load_recognizer("siri")
    with pytest.raises(SettingsError, match=r"'hal'.*nanotts, piper"):
        load_voice_engine("hal")


# The optional engines, with stand-ins for their libraries: what is asked of them and what is made of their answers.


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_whisper(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class WhisperModel:
        def __init__(self, model: str, **options: Any) -> None:
            asked.update(options, model=model)
            if model == "broken":
                raise ValueError("bad file")
            self.model = SimpleNamespace(is_multilingual=not model.endswith(".en"))

        def transcribe(self, audio: Any, **options: Any) -> tuple[list[Any], None]:
            asked.update(options)
            said = [(" Hello ", 0.1, -0.3), (" Thank you.", 0.9, -1.5), (" there.", 0.9, -0.3)]
            return [SimpleNamespace(text=t, no_speech_prob=n, avg_logprob=p) for t, n, p in said], None

    stand_in(monkeypatch, "faster_whisper", WhisperModel=WhisperModel)
    recognizer = load_recognizer("whisper")
    assert (asked["model"], asked["compute_type"], asked["cpu_threads"]) == ("tiny.en", "int8", 1)
    assert recognizer.languages == frozenset({"en"})
    assert recognizer.transcribe(np.zeros(16000, np.float32), "en") == "Hello there."
    assert load_recognizer("whisper", "small").languages is None
    load_recognizer("whisper", "small").transcribe(np.zeros(16000, np.float32), "de")
    assert asked["language"] == "de"
    with pytest.raises(SettingsError, match=r"cannot load the model 'broken'.*bad file"):
        load_recognizer("whisper", "broken")


def test_piper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class PiperVoice:
        config = SimpleNamespace(sample_rate=22050)

        @classmethod
        def load(cls, path: str) -> PiperVoice:
            if "broken" in path:
                raise ValueError("no such graph")
            return cls()

        def synthesize(self, text: str, syn_config: Any) -> list[Any]:
            assert (syn_config.length_scale, syn_config.volume) == (0.5, 1.5)
            return [SimpleNamespace(audio_int16_bytes=word.encode()) for word in text.split()]

    stand_in(monkeypatch, "piper", PiperVoice=PiperVoice, SynthesisConfig=SimpleNamespace)
    (tmp_path / "joe.onnx").touch()
    for path in (tmp_path, tmp_path / "joe.onnx"):
        engine = load_voice_engine("piper", str(path))
        assert (engine.voices, engine.sample_rate) == (("joe",), 22050)
        assert engine.speak("ab cd", voice="joe", speed=2.0, volume=1.5) == b"abcd"
    (tmp_path / "broken.onnx").touch()
    wrong: list[tuple[str | None, str]] = [
        (None, "needs the path"),
        (str(tmp_path), "2 .onnx files"),
        (str(tmp_path / "x"), "no piper voice"),
    ]
    for model, says in wrong:
        with pytest.raises(SettingsError, match=says):
            load_voice_engine("piper", model)
    with pytest.raises(SettingsError, match=r"cannot load.*no such graph"):
        load_voice_engine("piper", str(tmp_path / "broken.onnx"))
