"""What the addresses of a call's sound and pictures do: for the door, and for the description of the API. Pure."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from bridge.api.operations import Operation
from bridge.api.waveform import WaveformAnswer
from bridge.store.compress import FORMS

_RANGE: Final = {
    "Range": "Asks for a part, as `bytes=0-999`.",
    "If-Range": "Only if it still has this ETag; else all of it comes.",
}
WAV, SVG, PNG, ZIP = "audio/wav", "image/svg+xml", "image/png", "application/zip"


class SoundQuery(BaseModel):
    """In which form."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["wav", "opus", "mp3"] = Field(
        default="wav", description="`opus` and `mp3` take a third of the bytes, and no `Range`."
    )
    node: str = Field(
        default="",
        max_length=100,
        description="Of many nodes, the one whose part of the recording is wanted: one of the call's `held_by`.",
    )


class WaveformQuery(BaseModel):
    """How fine."""

    model_config = ConfigDict(extra="forbid")

    points: int = Field(default=4000, ge=10, le=20_000, description="How many figures at most for each side.")


RECORDING: Final = Operation(
    "Hear the recording of a call",
    tag="records",
    about="Stereo WAV, G.711 mu-law, 8000 Hz: left the caller, right what the caller heard. Of a call that"
    " goes on: as far as it goes. Who has heard it is kept in the audit.",
    headers=_RANGE,
    query=SoundQuery,
    answers={200: ", ".join((WAV, *(form.media_type for form in FORMS.values()))), 206: WAV, 304: None},
    problems=(404, 409, 416, 501, 503),
)
MESSAGE: Final = Operation(
    "Hear a message that the caller left",
    tag="records",
    about="Mono WAV, G.711 mu-law, 8000 Hz.",
    headers=_RANGE,
    answers={200: WAV, 206: WAV, 304: None},
    problems=(404, 409, 416, 503),
)
PEAKS: Final = Operation(
    "Tell how loud both sides of a recording are",
    tag="records",
    about="For drawing it.",
    query=WaveformQuery,
    answers={200: WaveformAnswer},
    problems=(404, 409, 503),
)
TIMELINE_SVG: Final = Operation(
    "See the timeline of a call",
    tag="records",
    answers={200: SVG},
    problems=(404, 503),
)
TIMELINE_PNG: Final = Operation(
    "See the timeline of a call as a PNG",
    tag="records",
    answers={200: PNG},
    problems=(404, 501, 503),
)
BUNDLE: Final = Operation(
    "Take away all that is kept of a call",
    tag="records",
    about="A ZIP file with the transcripts in every format, the recording, messages, journal, trace and picture."
    " Who has taken it is kept in the audit.",
    answers={200: ZIP},
    problems=(404, 503),
)
