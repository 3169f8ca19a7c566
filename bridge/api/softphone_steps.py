"""What a call of the softphone is to do next: a TwiML document, as steps that a page can take. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

from pydantic import BaseModel, Field

_LEG = "leg"


class SayStep(BaseModel):
    """The carrier's own voice says something; the softphone shows it."""

    do: Literal["say"] = "say"
    text: str
    language: str = ""


class StreamStep(BaseModel):
    """Open a media stream, and ask again with `after: stream` and this `leg` when it is over."""

    do: Literal["stream"] = "stream"
    parameters: dict[str, str]
    """For the `customParameters` of the stream's `start`; with them the token."""
    leg: str


class DigitsStep(BaseModel):
    """Keys sound in the call; `w` is half a second of silence."""

    do: Literal["digits"] = "digits"
    digits: str


class DialStep(BaseModel):
    """A carrier would connect the caller with somebody now."""

    do: Literal["dial"] = "dial"
    to: str
    """A number, `sip:` or `client:` address, or `conference:NAME`."""
    caller_id: str = ""
    """What they would be shown; empty: the caller."""
    ring_s: int = 30
    digits: str = ""
    """Keys that would be pressed when they have answered."""
    leg: str = ""
    """Ask again with `after: dial` and this `leg` once that is over; empty: the next step follows."""


class PauseStep(BaseModel):
    """Nothing happens for a while."""

    do: Literal["pause"] = "pause"
    seconds: float


class HangUpStep(BaseModel):
    """The call is over."""

    do: Literal["hang_up"] = "hang_up"


class OtherStep(BaseModel):
    """A verb that only a carrier can carry out. The softphone names it, and ends the call."""

    do: Literal["other"] = "other"
    verb: str


Step: TypeAlias = Annotated[
    SayStep | StreamStep | DigitsStep | DialStep | PauseStep | HangUpStep | OtherStep, Field(discriminator="do")
]


def steps_of(document: str) -> list[Step]:
    """Return what a TwiML document says, in order; the last step ends the call, or tells when to ask again.

    What is no XML is one verb that nobody can carry out. Never raises.
    """
    try:
        root = ET.fromstring(document.strip())  # noqa: S314  # expat bounds the expansion of entities
    except ET.ParseError:
        return [OtherStep(verb="a document that is no TwiML")]
    steps: list[Step] = []
    for step in _steps(root):
        steps.append(step)
        if isinstance(step, StreamStep | HangUpStep | OtherStep) or (isinstance(step, DialStep) and step.leg):
            return steps
    return [*steps, HangUpStep()]  # So does Twilio when a document has come to its end.


def _steps(root: ET.Element) -> Iterator[Step]:
    for verb in root:
        match verb.tag:
            case "Say":
                yield SayStep(text=_text(verb), language=verb.get("language", ""))
            case "Play" if "digits" in verb.attrib:
                yield DigitsStep(digits=verb.attrib["digits"])
            case "Pause":
                yield PauseStep(seconds=_seconds(verb.get("length"), 1.0))
            case "Connect" if (stream := verb.find("Stream")) is not None:
                given = {one.get("name", ""): one.get("value", "") for one in stream.findall("Parameter")}
                yield StreamStep(parameters=given, leg=_leg(verb))
            case "Dial":
                yield _dial(verb)
            case "Hangup" | "Reject":
                yield HangUpStep()
            case _:
                yield OtherStep(verb=verb.tag)


def _dial(verb: ET.Element) -> DialStep:
    noun = verb[0] if len(verb) else verb
    to = _text(noun)
    if noun.tag in {"Conference", "Client"}:
        to = f"{noun.tag.lower()}:{to}"
    return DialStep(
        to=to,
        caller_id=verb.get("callerId", ""),
        ring_s=round(_seconds(verb.get("timeout"), 30.0)),
        digits=noun.get("sendDigits", ""),
        leg=_leg(verb),
    )


def _leg(verb: ET.Element) -> str:
    """Return the number of the leg whose end the verb wants to be told of; empty: of none."""
    return parse_qs(urlsplit(verb.get("action", "")).query).get(_LEG, [""])[0]


def _text(element: ET.Element) -> str:
    return "".join(element.itertext()).strip()


def _seconds(text: str | None, otherwise: float) -> float:
    try:
        return otherwise if text is None else min(max(0.0, float(text)), 600.0)
    except ValueError:
        return otherwise
