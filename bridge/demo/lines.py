"""What the caller of the demo says, and with whose voice. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Voice: TypeAlias = Literal["synthetic voice", "recorded human", "made of noise"]


@dataclass(frozen=True, slots=True)
class Line:
    """Something the caller says."""

    text: str
    """Word for word, as a transcript is to have it; of a noise, what it is."""
    voice: Voice = "synthetic voice"
    speaker: str = "en-GB"
    """The local voice that speaks it: unlike the agent's, which is en-US, another speaker."""


# The wording was chosen among many: what the local recogniser understands of the local voice, wherever in the audio
# it begins.
QUESTION: Final = Line("Hello. When do you open in the morning?")
INTERRUPTION: Final = Line("No, I want to come on Saturday.")
MESSAGE_WISH: Final = Line("I would like to leave a message.")
NAME_AND_NUMBER: Final = Line("My name is Peter Miller. My number is five five five, one two three four.")
MESSAGE: Final = Line(
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness",
    "recorded human",
)
GOODBYE: Final = Line("I am done, thank you, and goodbye.")
COUGH: Final = Line("a cough", "made of noise")

TURNS: Final = (QUESTION, INTERRUPTION, MESSAGE_WISH, NAME_AND_NUMBER, MESSAGE, GOODBYE)
"""What the caller says, in order; the cough comes in between and is no turn of speech."""

READER: Final = "Pete Warden reading from Dickens' A Tale of Two Cities"
"""Who speaks the recorded line, as the tags of the recording say; they also say: CC Zero."""
