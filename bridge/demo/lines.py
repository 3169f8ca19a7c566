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


# The wording was chosen among many for what the local recogniser understands of the local voice, every time.
QUESTION: Final = Line("What time do you open?")
INTERRUPTION: Final = Line("Sorry, what about Saturday?")
MESSAGE_WISH: Final = Line("I would like to leave a message, please.")
NAME_AND_NUMBER: Final = Line("This is Peter Miller. My number is five five five, one two three four.")
MESSAGE: Final = Line(
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness",
    "recorded human",
)
GOODBYE: Final = Line("Thank you very much. Goodbye.")
COUGH: Final = Line("a cough", "made of noise")

TURNS: Final = (QUESTION, INTERRUPTION, MESSAGE_WISH, NAME_AND_NUMBER, MESSAGE, GOODBYE)
"""What the caller says, in order; the cough comes in between and is no turn of speech."""

READER: Final = "Pete Warden reading from Dickens' A Tale of Two Cities (CC Zero), in the package moonshine-voice"
"""Who speaks the recorded line, as the tags of the recording say."""
