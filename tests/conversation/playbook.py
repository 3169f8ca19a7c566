"""Plays a written scene to a conversation: what happens when, against what is to be done."""

from __future__ import annotations

from typing import Any

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.actions import Say
from bridge.conversation.journal import Entry
from bridge.conversation.machine import Conversation
from bridge.conversation.policy import Policy


class Play:
    """A conversation on a stage: time passes only when the scene says so."""

    def __init__(self, **policy: Any) -> None:
        self.conversation = Conversation(Policy(**policy))
        self.now = 100.0
        self.done: list[tuple[float, do.Command]] = []
        self.entries: list[Entry] = []
        self.silence_answered = False
        """True: the scene answers questions about silence itself. Else the agent has nothing to say to it."""

    def at(self, second: float) -> Play:
        """Let time pass up to `second` of the scene, with every deadline on the way."""
        moment = 100.0 + second
        while (deadline := self.conversation.deadline) is not None and deadline <= moment:
            self.now = max(self.now, deadline)
            before = self._take(on.DeadlineReached())
            later = self.conversation.deadline
            assert before or later is None or later > self.now, (
                "a deadline that leads to nothing comes again at once"
            )
        self.now = moment
        return self

    def hears(self, *events: on.Event) -> list[Any]:
        """Hand in what happens now, and return what is to be done, without what is only kept."""
        commands: list[do.Command] = []
        for event in events:
            commands += self._take(event)
        return [command for command in commands if not isinstance(command, do.Record)]

    def _take(self, event: on.Event) -> list[do.Command]:
        commands = self.conversation.handle(event, self.now)
        self.done += [(self.now - 100.0, command) for command in commands]
        self.entries += [command.entry for command in commands if isinstance(command, do.Record)]
        for command in commands[:]:
            if isinstance(command, do.AskAgent) and command.occasion == "silence" and not self.silence_answered:
                commands += self._take(on.AgentFinished(command.reply))
        return commands

    def kept(self, kind: type[Any]) -> list[Any]:
        """Return the journal's entries of one kind."""
        return [entry for entry in self.entries if isinstance(entry, kind)]

    def did(self, kind: type[Any]) -> list[Any]:
        """Return the commands of one kind, from the whole scene."""
        return [command for _, command in self.done if isinstance(command, kind)]

    # --- ready-made scenes ---------------------------------------------------------------------------------

    def start(self) -> Play:
        """Let the line come up with an agent that says nothing at first."""
        self.hears(on.StreamStarted())
        for ask in self.did(do.AskAgent):
            self.hears(on.AgentFinished(ask.reply))
        return self

    def caller_says(self, text: str) -> Play:
        """Let the caller speak a whole turn within this moment."""
        self.hears(on.TurnStarted(), on.TurnUpdated(text), on.TurnEnded(text))
        return self

    def agent_says(self, text: str, *, seconds: float, more: bool = False, **options: Any) -> int:
        """Let the agent answer the open question and its speech arrive at once; returns the utterance."""
        reply = self.did(do.AskAgent)[-1].reply
        self.hears(on.AgentActed(reply, Say(text, **options)))
        if not more:
            self.hears(on.AgentFinished(reply))
        utterance: int = self.did(do.Synthesize)[-1].utterance
        self.speech_arrives(utterance, text, seconds)
        return utterance

    def speech_arrives(self, utterance: int, text: str, seconds: float) -> None:
        """Let the audio of an utterance arrive, its words at an even pace."""
        words = text.split()
        pace = seconds / max(len(words), 1)
        timed = tuple(on.Word(word, i * pace, (i + 1) * pace) for i, word in enumerate(words))
        self.hears(
            on.SpeechArrived(utterance, b"a" * round(seconds * 8000)),
            on.WordsTimed(utterance, timed),
            on.SpeechFinished(utterance),
        )

    def marks_return(self, count: int | None = None) -> list[Any]:
        """Let the first `count` of all marks sent so far come back (all of them, without a count)."""
        names = [mark.name for mark in self.did(do.SendMark)]
        return self.hears(*(on.MarkReturned(name) for name in names[:count]))
