"""Tells an attending agent of what happens in its call, at once and beside the questions it is asked."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bridge.agents.base import Agent, Attendant, AttendingAgent, CallInfo
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal

log = structlog.get_logger()


class Attending:
    """Looks at every step of one call, as an observer does, and tells the agent what it wants to know at once.

    What the attendant raises is logged once, and it is told nothing more: the call goes on.
    """

    def __init__(self, attendant: Attendant, info: CallInfo) -> None:
        self._attendant = attendant
        self._info = info
        self._agent_speaks = False
        self._caller_speaks = False
        self._since_ms: int | None = None
        """Since when the open reply sounds without a break."""
        self._sounded_ms = 0
        """How long it had sounded before that."""
        self._deaf = False

    def look(self, event: on.Event, commands: list[do.Command], *, masked: bool = False) -> None:
        """Look at one step: what happened, and what is done about it. Never raises.

        `masked`: what the caller says and presses is a secret.
        """
        if self._deaf:
            return
        try:
            self._tell_of(event, commands, masked=masked)
        except Exception:
            log.exception("attendant_failed", call=self._info.id)
            self._deaf = True

    def _tell_of(self, event: on.Event, commands: list[do.Command], *, masked: bool) -> None:
        spoke = self._agent_speaks
        for command in commands:
            match command:
                case do.SendAudio():
                    self._agent(on=True)
                case do.Record(entry):
                    self._tell_entry(entry)
                case _:
                    pass
        match event:
            case on.TurnEnded() if self._caller_speaks or not masked:
                self._caller_speaks = False
                self._attendant.speaking("caller", on=False)
            case _ if masked:
                pass
            case on.TurnStarted():
                self._caller_speaks = True
                self._attendant.speaking("caller", on=True)
            case on.TurnUpdated(transcript):
                self._attendant.partial(transcript)
            case on.DigitPressed(digit) if _kept(commands):
                # A reply that has sounded already, and might have gone on, is cut off without anything to clear.
                cut = any(isinstance(command, do.ClearPlayout | do.CancelReply) for command in commands)
                self._attendant.key(digit, over_speech=spoke and not cut)
            case _:
                pass

    def _tell_entry(self, entry: journal.Entry) -> None:
        match entry:
            case journal.AgentSilenced(at_ms):
                self._pause(at_ms)
            case journal.AgentResumed(at_ms):
                self._since_ms = at_ms
            case journal.AgentSpoke():
                began = entry.sent_ms if self._since_ms is None and not self._sounded_ms else self._since_ms
                self._since_ms = began
                self._pause(entry.ended_ms)
                if entry.interrupted and entry.occasion != "prompt":
                    self._attendant.interrupted(entry.heard, self._sounded_ms)
                if entry.heard:
                    self._attendant.played(entry.heard)
                self._since_ms, self._sounded_ms = None, 0
            case _:
                pass

    def _pause(self, at_ms: int) -> None:
        if self._since_ms is not None:
            self._sounded_ms += at_ms - self._since_ms
        self._since_ms = None
        self._agent(on=False)

    def _agent(self, *, on: bool) -> None:
        if self._agent_speaks != on:
            self._agent_speaks = on
            self._attendant.speaking("agent", on=on)


def _kept(commands: list[do.Command]) -> bool:
    """Tell whether a key is in the journal: what belongs to a secret, or comes behind it, is not."""
    return any(isinstance(one, do.Record) and isinstance(one.entry, journal.KeyPressed) for one in commands)


def attend(agent: Agent | None, info: CallInfo, want_floor: Callable[[], None]) -> Attending | None:
    """Let the agent attend a call, if it is of a kind that does. None: it is only asked."""
    if not isinstance(agent, AttendingAgent):
        return None
    return Attending(agent.attend(info, want_floor), info)
