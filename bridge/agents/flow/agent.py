"""The `flow` agent: runs a flow file for every call. What it decides is in `flow_steps`; this carries it out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from bridge.agents.base import Question
from bridge.agents.flow import position
from bridge.agents.flow import steps as flow_steps
from bridge.agents.flow.file import Checked, read_flow
from bridge.agents.flow.lookups import Lookups
from bridge.agents.flow.model import Flow
from bridge.agents.flow.options import FlowOptions
from bridge.agents.flow.steps import State, Taken
from bridge.conversation.actions import Action, Remember
from bridge.errors import AgentError, SettingsError

MAX_LOOKUPS: Final = 10
"""Look-ups that one answer may need."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Last:
    """The question that was answered last in a call."""

    question: Question
    before: State
    """Where the call stood."""
    after: State
    """Where it stands if the answer was taken."""


class FlowAgent:
    """Answers every call by one flow, and keeps where each call stands until it has ended.

    It keeps that in memory, for the secrets among it, and has it remembered (`Remember`) for whoever goes on with a
    call after a crash.
    """

    def __init__(self, path: str, options: FlowOptions | None = None) -> None:
        """Load the file. Blocks on the disk. Raises SettingsError that names every mistake with its line."""
        options = options or FlowOptions()
        self.flow = load_flow(path, options.sounds)
        self._calls: dict[str, _Last] = {}
        self._lookups = Lookups(allow_private=options.allow_private, longest_s=options.timeout_seconds)

    @property
    def acts_at_once(self) -> bool:
        """Tell whether an answer may change something elsewhere, so that it must not be asked for on suspicion."""
        return self.flow.posts

    async def ask(self, question: Question) -> AsyncGenerator[Action, None]:
        """Yield what the flow does next; look-ups are carried out in between.

        Cancelling stops a look-up. An answer that was prepared in vain leaves no trace. Raises AgentError
        (`agent_crashed`) after a fault for which the flow has no `on_error`.
        """
        if question.occasion == "call.ended":
            self._calls.pop(question.call.id, None)
            return
        before, question = self._standing(question)
        try:
            taken = flow_steps.take(self.flow, before, question, _now())
        except Exception as error:  # noqa: BLE001 - logged; whatever a file does, the call goes on
            taken = self._after_fault(question, before, error)
        for _ in range(MAX_LOOKUPS):
            self._calls[question.call.id] = _Last(question, before, taken.state)
            for action in taken.actions:
                yield action
            acts = taken.request is not None and taken.request.method == "POST"
            begin = flow_steps.beginning(self.flow, question.call)
            yield Remember(position.remembered(self.flow, taken.state, begin), at_once=acts)
            if taken.request is None:
                return
            taken = await self._look_up(question, taken)
        raise AgentError(f"the flow {self.flow.name} needs more than {MAX_LOOKUPS} look-ups", code="agent_crashed")

    async def close(self) -> None:
        """Close the connections of look-ups."""
        await self._lookups.close()

    def _standing(self, question: Question) -> tuple[State, Question]:
        """Where the call stands: was the last answer taken, or was it prepared in vain, or is it superseded?

        With the question that is to be answered there.
        """
        last = self._calls.get(question.call.id)
        if last is None:
            return self._remembered(question)
        return last.before if _undone(last.question, question) else last.after, question

    def _remembered(self, question: Question) -> tuple[State, Question]:
        """Where a call stands that another process has had before, or that begins."""
        if not question.state:
            return State(), question
        state = position.restored(self.flow, question.state, flow_steps.beginning(self.flow, question.call))
        if isinstance(state, str):
            _log.warning("flow_begins_again", call=question.call.id, flow=self.flow.name, reason=state)
            return State(), question
        back = position.asked_again(self.flow, state)
        if back is None:
            return state, question
        _log.info("flow_asks_again", call=question.call.id, flow=self.flow.name, step=back.at or self.flow.start)
        # What the question is about belongs to another step.
        return back, replace(question, occasion="call.resumed", transcript="", digits="")

    async def _look_up(self, question: Question, taken: Taken) -> Taken:
        request = taken.request
        if request is None:
            return taken
        if question.speculative and request.method == "POST":
            raise AgentError(
                "a look-up that may change something waits for the end of the turn", code="agent_answer"
            )
        outcome = await self._lookups.carry_out(request, question.call.id)
        if outcome.error:
            _log.warning(
                "flow_lookup_failed",
                call=question.call.id,
                flow=self.flow.name,
                step=request.step,
                reason=outcome.error,
            )
        try:
            return flow_steps.looked_up(self.flow, taken.state, outcome, _now())
        except Exception as error:  # noqa: BLE001 - as in `ask`
            return self._after_fault(question, taken.state, error)

    def _after_fault(self, question: Question, state: State, error: Exception) -> Taken:
        """Go on where the flow says so. Raises AgentError where it does not, or fails there as well."""
        _log.error(
            "flow_failed",
            call=question.call.id,
            flow=self.flow.name,
            step=state.at,
            error=f"{type(error).__name__}: {error}",
        )
        message = f"the flow {self.flow.name} failed at the step {state.at or self.flow.start}"
        try:
            taken = flow_steps.failed(self.flow, state, type(error).__name__, _now())
        except Exception as again:
            raise AgentError(message, code="agent_crashed") from again
        if taken is None:
            raise AgentError(message, code="agent_crashed") from error
        return taken


def load_flow(path: str, sounds: Path | None = None) -> Flow:
    """Read a flow file that is to be used. Blocks on the disk. Raises SettingsError with every mistake's line."""
    try:
        checked = check_file(Path(path), sounds)
    except SettingsError as error:
        raise SettingsError(f"agent.url (BRIDGE_AGENT__URL): {error.message}") from error
    if checked.flow is not None:
        return checked.flow
    first, *others = checked.errors
    more = f"; phone-bridge flow check {path}  shows {len(others)} more" if others else ""
    raise SettingsError(
        f"agent.url (BRIDGE_AGENT__URL) is a flow with a mistake: {path}:{first.line}: {first.message}{more}"
    )


def check_file(path: Path, sounds: Path | None = None) -> Checked:
    """Read and check a flow file. Blocks on the disk. Raises SettingsError when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read the flow {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"cannot read the flow {path}: it is not UTF-8; save it as UTF-8") from error
    exists = None if sounds is None else lambda name: (sounds / name).is_file()
    return read_flow(text, str(path), exists)


def _undone(last: Question, question: Question) -> bool:
    """Tell whether a question shows that the answer to the one before was not taken.

    Either it was prepared on suspicion and the turn went otherwise, or nothing of it was heard when the caller went
    on, and both halves are one question now.
    """
    spoken = question.occasion == "turn.ended" == last.occasion
    if last.speculative:
        # A turn that did not count as words leaves no message, and its answer was thrown away.
        dropped = _count(question, "user") < _count(last, "user")
        return dropped or (spoken and question.turn == last.turn) or _extends(last, question)
    return _extends(last, question)


def _extends(last: Question, question: Question) -> bool:
    """Tell whether a question is the last one and more, and nothing was heard in between."""
    if _count(question, "assistant") != _count(last, "assistant"):
        return False
    if last.occasion == "digits" and not last.digits:
        # The wait was over in the moment in which the caller began to answer.
        return question.occasion in {"turn.ended", "digits"}
    if question.occasion != last.occasion:
        return False
    if question.occasion == "turn.ended":
        return bool(last.transcript.strip()) and question.transcript.startswith(last.transcript)
    return question.occasion == "digits" and bool(last.digits) and question.digits.startswith(last.digits)


def _count(question: Question, role: str) -> int:
    return sum(message.role == role for message in question.messages)


def _now() -> datetime:
    return datetime.now(UTC)
