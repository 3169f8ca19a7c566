"""How a live call stands, kept up with what is told of it: for who begins to look. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge.live.events import News

TALK_KEPT: Final = 500
"""Lines of a call's talk that are kept for who begins to look at it; earlier ones are in its record."""


class Picture:
    """One call's."""

    def __init__(self) -> None:
        self.talk: list[Mapping[str, Any]] = []
        self.words: dict[str, str] = {}
        self.state = "listening"
        self.at_ms = 0
        self.over = False
        """Whether it was told that the call is over."""
        self.saying: Mapping[str, Any] | None = None
        """What was told last of what is being said to the caller."""
        self.recording = "off"
        """Whether its sound is kept."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Picture:
        """Return the picture that another process has of a call, from its `as_dict` or a whole call's."""
        picture = cls()
        picture.talk.extend(told["talk"])
        picture.words.update(told["words"])
        picture.state, picture.at_ms = told["state"], told["at_ms"]
        picture.saying, picture.recording = told["saying"], told["recording"]
        return picture

    def remember(self, news: News) -> None:
        """Take in what happened."""
        data = news.data
        self.at_ms = data["at_ms"]
        match news.type:
            case "state":
                self.state = data["state"]
            case "turn.words":
                self.words[data["speaker"]] = data["text"]
            case "turn.ended":
                self.words.pop(data["speaker"], None)
                if data["text"].strip():
                    self._add(data)
            case "agent.speaking":
                self.saying = {name: value for name, value in data.items() if name != "at_ms"}
            case "agent.spoke":
                self.saying = None
                self._add({"speaker": "agent", **data})
            case "recording":
                self.recording = data["state"]
            case "call.ended":
                self.over = True
            case _:
                pass

    def _add(self, line: Mapping[str, Any]) -> None:
        self.talk.append(line)
        del self.talk[:-TALK_KEPT]

    def as_dict(self) -> dict[str, Any]:
        """Return it as programs see it."""
        return {
            "state": self.state,
            "at_ms": self.at_ms,
            "talk": list(self.talk),
            "words": dict(self.words),
            "recording": self.recording,
            "saying": self.saying,
        }
