"""Recorded human speech with its words, for measuring recognition in whole calls.

Nothing of it is in this repository: the files come with the Debian packages asterisk-core-sounds-en-wav (prompts
spoken by Allison Smith, CC BY-SA 3.0) and pocketsphinx-testdata (BSD), and inside the moonshine-voice package.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bridge.audio import codec, wav

LIST = Path(__file__).with_suffix(".tsv")
PACKAGES = "asterisk-core-sounds-en-wav pocketsphinx-testdata"
_SPEECH_DB = 35.0
"""Sound this far below the loudest is silence."""


@dataclass(frozen=True)
class Recorded:
    """One utterance of a person."""

    name: str
    path: Path
    reference: str
    """What is said."""
    span_s: tuple[float, float] | None
    """Which part of the file, in seconds."""

    @property
    def there(self) -> bool:
        """Tell whether its file is installed."""
        return self.path.is_file()

    def mulaw(self) -> bytes:
        """Return its sound as the phone would carry it."""
        data = self.path.read_bytes()
        if self.path.suffix == ".raw":
            data = wav.write_linear16(data, sample_rate=16000)
        audio = wav.read_mulaw(data, name=self.path.name)
        if self.span_s is None:
            return audio
        return audio[slice(*(round(second * codec.SAMPLE_RATE) for second in self.span_s))]


def speech_end_s(mulaw: bytes) -> float:
    """Return when the speech in it ends, in seconds: the end of the last 20 ms that are loud enough."""
    samples = np.frombuffer(codec.mulaw_to_linear16(mulaw), dtype="<i2").astype(np.float64)
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-9)
    loud = np.nonzero(level > level.max() - _SPEECH_DB)[0]
    return float(loud[-1] + 1) * 0.02


def recordings() -> list[Recorded]:
    """Return the whole list, whether the files are there or not."""
    found = []
    with LIST.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            span = (float(row["from_s"]), float(row["to_s"])) if row["from_s"] else None
            found.append(Recorded(row["id"], _path(row["file"]), row["reference"], span))
    return found


def _path(name: str) -> Path:
    package, _, rest = name.partition("/")
    if not package:
        return Path(name)
    spec = find_spec(package)
    return Path(spec.origin).parent / rest if spec is not None and spec.origin else Path(name)
