"""What the simulated carrier has recorded, for whoever fetches it by REST."""

from __future__ import annotations

from typing import Final

from bridge.audio import codec, wav

_API: Final = "/2010-04-01"


class Recordings:
    """The recordings of an exchange."""

    def __init__(self) -> None:
        self.origin = "https://api.twilio.com"
        """Where they can be fetched; a stand-in for the REST API names itself here."""
        self.files: dict[str, bytes] = {}
        """WAV files, 16 bits at 8000 Hz as Twilio has them, by their SID."""

    def keep(self, account_sid: str, sid: str, audio: bytes) -> str:
        """Keep mu-law audio. Returns its `RecordingUrl`."""
        self.files[sid] = wav.write_linear16(codec.mulaw_to_linear16(audio))
        return f"{self.origin}{_API}/Accounts/{account_sid}/Recordings/{sid}"
