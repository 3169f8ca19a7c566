"""Recordings in a third of their size: Ogg Opus, or MP3, through PyAV (the extra `formats`).

Both sides stay apart, the caller left and the other right, and each sound at its time. A second is read, encoded
and written after the other, so that memory is the same for a call of any length. Everything here blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, cast

from bridge.audio.codec import SAMPLE_RATE, mulaw_to_linear16
from bridge.errors import BridgeError, MissingExtraError

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream

Form: TypeAlias = Literal["opus", "mp3"]

_SECOND: Final = SAMPLE_RATE
_LAYOUTS: Final = {1: "mono", 2: "stereo"}


@dataclass(frozen=True, slots=True)
class Compressed:
    """One form of compressed sound."""

    media_type: str
    suffix: str
    """With the dot."""
    container: str
    codec: str
    sample_rate: int
    """Hz."""
    bit_rate: int
    """Of each side, per second."""
    options: Mapping[str, str]


FORMS: Final[Mapping[Form, Compressed]] = {
    # Not the mode for voices, nor fewer bits: there a sound that begins on one side is heard on the other as well.
    "opus": Compressed("audio/ogg", ".opus", "ogg", "libopus", 8000, 24_000, {"application": "audio"}),
    # 16 kHz, because many players know no MP3 of 8 kHz; no joint stereo, in which one side leaks into the other.
    "mp3": Compressed("audio/mpeg", ".mp3", "mp3", "libmp3lame", 16_000, 24_000, {"joint_stereo": "0"}),
}


class Source(Protocol):
    """An open recording: what of `bridge.store.vault.Recording` is needed here."""

    channels: int

    def audio(self, first: int, count: int) -> bytes:
        """Return `count` frames of mu-law from `first` on, all sides' samples by turns; fewer at the end."""


def compress(recording: Source, form: Form, into: IO[bytes]) -> None:
    """Write a recording in a form to a file that can be rewound: how long it is stands at its beginning.

    Raises `MissingExtraError` without PyAV, `OSError` of either file, and what reading the recording raises.
    """
    try:
        import av  # noqa: PLC0415  It is an extra, and takes its time.
    except ImportError:
        raise MissingExtraError("formats", "a recording as Opus or MP3") from None
    how = FORMS[form]
    try:
        with av.open(into, "w", format=how.container) as container:
            added = container.add_stream(how.codec, rate=how.sample_rate, options=dict(how.options))
            stream = cast("AudioStream", added)
            stream.layout = _LAYOUTS[recording.channels]
            stream.bit_rate = how.bit_rate * recording.channels
            first = 0
            while audio := recording.audio(first, _SECOND):
                container.mux(stream.encode(_frame(audio, recording.channels, first)))
                first += len(audio) // recording.channels
            if first == 0:  # Encoders make no file of nothing.
                silence = b"\xff" * (recording.channels * _SECOND // 50)
                container.mux(stream.encode(_frame(silence, recording.channels, 0)))
            container.mux(stream.encode(None))
    except av.FFmpegError as error:
        if isinstance(error, OSError) and error.errno and error.errno > 0:
            raise OSError(error.errno, error.strerror) from error
        raise BridgeError(
            f"the recording cannot be made {form}: {error}. Take it as wav, which it is already",
            code="recording_format",
        ) from error


def _frame(audio: bytes, channels: int, first: int) -> AudioFrame:
    from av import AudioFrame  # noqa: PLC0415  As above.

    frame = AudioFrame("s16", _LAYOUTS[channels], len(audio) // channels, align=1)
    frame.sample_rate = SAMPLE_RATE
    frame.pts = first
    frame.planes[0].update(mulaw_to_linear16(audio))
    return frame
