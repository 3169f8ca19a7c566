"""Runs a flow: where a call stands, and what happened, make what is to be done and where it stands then. Pure.

The time is handed in. Look-ups are asked for as values (`Request`): whoever carries them out hands in what came of
them. Each event is answered with a bounded number of actions, whatever the flow is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

import msgspec

from bridge.agents.base import CallInfo, Question
from bridge.agents.flow.answers import SILENT, Answer, understood
from bridge.agents.flow.model import (
    DigitsStep,
    Flow,
    GotoStep,
    HangUpStep,
    HoursStep,
    IfStep,
    ListenStep,
    LookupStep,
    MenuStep,
    NoteStep,
    Prompt,
    SayStep,
    SetStep,
    Sound,
    Target,
    TransferStep,
    VoicemailStep,
    Waiting,
)
from bridge.agents.flow.readers import dialled
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HangUp,
    Note,
    Play,
    RecordMessage,
    Say,
    Set,
    Transfer,
)

MAX_STEPS: Final = 100
"""Steps that one event may lead through."""
MAX_SILENCE: Final = 12
"""Questions in a row to which the caller says and presses nothing: then nobody is there."""
MAX_VALUE: Final = 4000
"""Characters of a variable's value; the rest is left out."""

_NOT_HELPED: Final = "Sorry, I could not understand you. Please call again. Good-bye."
_MENU_NEXT_S: Final = 2.0
"""Longest wait for the second key of a choice that has two."""


class FlowFaultError(Exception):
    """The flow cannot go on: it led through too many steps, or a step is not there."""


@dataclass(frozen=True, slots=True)
class State:
    """Where one call stands. Immutable, so that an answer that was prepared in vain changes nothing."""

    at: str = ""
    """The step that waits for something; empty: before the start."""
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    failures: int = 0
    """How often the question of this step was put without an answer."""
    silence: int = 0
    """How many questions in a row the caller left without a word or a key."""
    asked: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Which step for digits a variable has its value from; the oldest first."""


@dataclass(frozen=True, slots=True)
class Request:
    """A look-up that is to be carried out."""

    step: str
    method: str
    url: str
    data: Mapping[str, str]
    headers: Mapping[str, str]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a look-up."""

    document: Any = None
    """The JSON that was answered."""
    error: str = ""
    """Why there is none; empty: there is."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What an event led to."""

    actions: tuple[Action, ...]
    state: State
    request: Request | None = None
    """Hand what comes of it to `looked_up`; the actions are to be carried out meanwhile."""


def take(flow: Flow, state: State, question: Question, now: datetime) -> Taken:
    """Take an event of the call. Raises `FlowFaultError`."""
    run = _Run(flow, state, now)
    if question.occasion == "call.started" or not state.at:
        run.begin(question)
    else:
        run.go_on(question)
    return run.taken()


def looked_up(flow: Flow, state: State, outcome: Outcome, now: datetime) -> Taken:
    """Go on with what came of a look-up. Raises `FlowFaultError`."""
    run = _Run(flow, state, now)
    step = flow.steps.get(state.at)
    if isinstance(step, LookupStep):
        run.take_outcome(step, outcome)
    return run.taken()


def failed(flow: Flow, state: State, error: str, now: datetime) -> Taken | None:
    """Go on after a fault where the flow says so; None: it does not. Raises `FlowFaultError` for one more fault."""
    if flow.on_error is None:
        return None
    run = _Run(flow, state, now)
    run.set("error", error)
    run.walk(flow.on_error.name)
    return run.taken()


def beginning(flow: Flow, call: CallInfo) -> dict[str, str]:
    """Return the variables with which a call begins."""
    variables = {"caller": call.caller, "called": call.called, "direction": call.direction}
    variables |= {f"parameters.{name}": value[:MAX_VALUE] for name, value in call.parameters.items()}
    for name, text in flow.variables.items():
        variables[name] = text.fill(variables)[:MAX_VALUE]
    return variables


class _Run:
    """One event on its way through the steps."""

    def __init__(self, flow: Flow, state: State, now: datetime) -> None:
        self._flow = flow
        self._state = state
        self._now = now
        self._variables = dict(state.variables)
        self._asked = dict(state.asked)
        self._actions: list[Action] = []
        self._request: Request | None = None
        self._ahead = ""
        """Keys that were pressed for questions which are still to be put."""

    def taken(self) -> Taken:
        variables, asked = MappingProxyType(self._variables), MappingProxyType(self._asked)
        state = replace(self._state, variables=variables, asked=asked)
        return Taken(_spaced(self._actions), state, self._request)

    def set(self, name: str, value: str, asked: str = "") -> None:
        """Give a variable a value; `asked`: the step for digits that it came from."""
        if name:
            self._variables[name] = value[:MAX_VALUE]
            self._asked.pop(name, None)
            if asked:
                self._asked[name] = asked

    def _keep(self, step: Waiting, answer: Answer) -> None:
        """Keep what the caller has answered to the step at which the call stands."""
        for name, value in answer.values.items():
            self.set(name, value, self._state.at if isinstance(step, DigitsStep) else "")
        for name, text in answer.changes:
            self.set(name, text.fill(self._variables))

    # --- events --------------------------------------------------------------------------------------------

    def begin(self, question: Question) -> None:
        """Begin with the first step."""
        flow = self._flow
        self._variables, self._asked = beginning(flow, question.call), {}
        if flow.voice is not None or flow.language is not None:
            self._actions.append(Set(flow.voice, flow.language))
        self.walk(flow.start)

    def go_on(self, question: Question) -> None:
        """Answer an event while a step waits."""
        step = self._flow.steps.get(self._state.at)
        if question.occasion == "transfer.ended":
            self._take_transfer(step, question)
        elif question.occasion == "message":
            self._take_message(step, question)
        elif question.occasion == "call.resumed" and isinstance(step, Waiting):
            self._ask(step, step.prompt)
        elif question.occasion in {"turn.ended", "digits", "silence", "call.resumed"}:
            self._take_input(step, question)

    def _take_input(self, step: object, question: Question) -> None:
        """Take words, keys, or that there are none."""
        if isinstance(step, Waiting):
            self._keep_input(step, question)
            self._take_answer(step, understood(step, self._flow.always, question))
        elif question.occasion == "silence":
            return  # The bridge asks whether anybody is there.
        elif isinstance(step, LookupStep):
            self._again(step)
        elif isinstance(step, HangUpStep | TransferStep | VoicemailStep):
            # What it said was heard, or is said once more; what stands behind it is still to be done.
            cut = question.interrupted is not None and bool(question.interrupted.unheard.strip())
            self._perform(step, say=cut and not isinstance(step, VoicemailStep))

    def _keep_input(self, step: Waiting, question: Question) -> None:
        if isinstance(step, DigitsStep) and step.masked:
            return
        if question.digits:
            self.set("digits", question.digits)
        if question.occasion == "turn.ended":
            self.set("transcript", question.transcript.strip())

    def _take_transfer(self, step: object, question: Question) -> None:
        result = question.transfer
        if not isinstance(step, TransferStep) or result is None or result.status == "completed":
            return
        self.set("transfer_status", result.status)
        self.walk(step.others.get(result.status, step.failed).name)

    def _take_message(self, step: object, question: Question) -> None:
        if not isinstance(step, VoicemailStep):
            return
        said = question.transcript.strip()
        self.set(step.variable, said)
        self.walk((step.next if said else step.empty).name)

    def _again(self, step: LookupStep) -> None:
        """Something came in between a look-up: what only reads is read again; nobody knows what else has done."""
        if step.method == "GET":
            if (astray := self._look_up(step)) is not None:
                self.walk(astray.name)
        else:
            self.take_outcome(step, Outcome(error="interrupted"))

    def take_outcome(self, step: LookupStep, outcome: Outcome) -> None:
        """Keep the results of a look-up and go on."""
        if outcome.error:
            self.set("error", outcome.error)
            self.walk(step.on_error.name)
            return
        found = {name: _field(outcome.document, path) for name, path in step.results}
        missing = [path for name, path in step.results if found[name] is None]
        if missing:
            self.set("error", f"no field {missing[0]}")
            self.walk(step.on_error.name)
            return
        for name, value in found.items():
            self.set(name, value or "")
        self.walk(step.next.name)

    # --- answers to questions ------------------------------------------------------------------------------

    def _take_answer(self, step: Waiting, answer: Answer) -> None:
        if answer.problem:
            self._put_again(step, silent=answer.problem == SILENT)
            return
        self._state = replace(self._state, failures=0, silence=0)
        self._ahead = answer.ahead
        self._keep(step, answer)
        if answer.next is None:
            self._ask(step, step.prompt)
        else:
            self.walk(answer.next.name)

    def _put_again(self, step: Waiting, *, silent: bool) -> None:
        """There was no answer, or none that was understood: ask again, or give up."""
        state, retry = self._state, step.retry
        failures, silence = state.failures + 1, state.silence + 1 if silent else 0
        self._state = replace(state, failures=failures, silence=silence)
        if silence >= MAX_SILENCE or (failures >= retry.attempts and retry.failed is None):
            self._actions += [Say(_NOT_HELPED), HangUp("no_answer")]
        elif failures >= retry.attempts and retry.failed is not None:
            self.walk(retry.failed.name)
        else:
            ladder = retry.no_input if silent else retry.no_match
            if ladder:
                self._say(replace(ladder[min(failures, len(ladder)) - 1], barge_in=step.prompt.barge_in))
            self._ask(step, step.prompt if retry.repeat or not ladder else Prompt())

    # --- steps ---------------------------------------------------------------------------------------------

    def walk(self, name: str) -> None:
        """Go from step to step until one waits."""
        for _ in range(MAX_STEPS):
            following = self._enter(name)
            if following is None:
                return
            name = following.name
        raise FlowFaultError(f"{MAX_STEPS} steps did not lead to one that waits; the last is {name}")

    def _enter(self, name: str) -> Target | None:
        """Do what a step does. Returns the one that follows; None: this one waits."""
        step = self._flow.steps.get(name)
        match step:
            case SayStep(prompt, following):
                self._say(prompt)
                return following
            case GotoStep(following):
                return following
            case NoteStep(data, following):
                self._actions.append(Note({key: text.fill(self._variables) for key, text in data}))
                return following
            case SetStep(changes, following, recording):
                for variable, text in changes:
                    self.set(variable, text.fill(self._variables))
                if recording is not None:
                    self._actions.append(Set(recording=recording))
                return following
            case HoursStep():
                return step.open if step.hours.open_at(self._now) else step.closed
            case IfStep():
                return step.then if self._holds(step) else step.otherwise
            case None:
                raise FlowFaultError(f"there is no step {name}")
            case _:
                self._state = replace(self._state, at=name, failures=0)
                return self._begin(step)

    def _begin(self, step: Waiting | LookupStep | TransferStep | VoicemailStep | HangUpStep) -> Target | None:
        """Enter a step that waits for something. Returns the one that follows where it need not wait."""
        if isinstance(step, Waiting):
            if self._ahead:
                return self._answer_ahead(step)
            self._ask(step, step.prompt)
            return None
        if isinstance(step, LookupStep):
            self._say(step.prompt)
            return self._look_up(step)
        return self._perform(step, say=True)

    def _answer_ahead(self, step: Waiting) -> Target | None:
        """Answer a question by keys that were pressed before it was put."""
        keys, self._ahead = self._ahead, ""
        answer = understood(step, self._flow.always, keys=keys)
        if answer.problem or answer.next is None:
            self._ask(step, step.prompt)
            return None
        self._ahead = answer.ahead
        if isinstance(step, DigitsStep) and step.masked:
            self._variables.pop("digits", None)  # They were pressed along with the keys before.
        self._keep(step, answer)
        return answer.next

    def _perform(self, step: TransferStep | VoicemailStep | HangUpStep, *, say: bool) -> Target | None:
        if say:
            self._say(step.prompt)
        match step:
            case HangUpStep(_, reason):
                self._actions.append(HangUp(reason))
            case VoicemailStep():
                if step.beep:
                    self._actions.append(Play("beep:", barge_in="never"))
                self._actions.append(RecordMessage(step.max_s, step.silence_s, step.terminator))
            case TransferStep():
                return self._transfer(step)
        return None

    def _transfer(self, step: TransferStep) -> Target | None:
        to = step.to.fill(self._variables).strip()
        caller_id = "" if step.caller_id is None else step.caller_id.fill(self._variables).strip()
        summary = "" if step.summary is None else step.summary.fill(self._variables)
        if not dialled(to):
            self.set("transfer_status", "failed")
            self.set("error", f"no number: {to}")
            return step.failed
        self._actions.append(Transfer(to, summary, step.timeout_s, caller_id, step.digits))
        return None

    def _look_up(self, step: LookupStep) -> Target | None:
        """Ask for a look-up. Returns the step that follows where it cannot be carried out."""
        quoted = {name: quote(value, safe="") for name, value in self._variables.items()}
        # A variable that is the beginning of the URL names a server, and is no part of a path.
        first = step.url.pieces[:1]
        url = step.url.fill(quoted)
        if first and not isinstance(first[0], str):
            url = self._variables.get(first[0][0], "") + replace(step.url, pieces=step.url.pieces[1:]).fill(quoted)
        if not {".", ".."}.isdisjoint(url.partition("?")[0].split("/")):
            # Servers, and libraries before them, take such a part for the way up, out of where it was to stay.
            self.set("error", "the URL leads astray")
            return step.on_error
        fill = self._variables
        self._request = Request(
            self._state.at,
            step.method,
            url,
            {name: text.fill(fill) for name, text in step.body.items()},
            {name: text.fill(fill) for name, text in step.headers.items()},
            step.timeout_s,
        )
        return None

    def _holds(self, step: IfStep) -> bool:
        value = self._variables.get(step.variable, "")
        match step.test:
            case "equals":
                return value.casefold() == str(step.operand).casefold()
            case "one_of":
                return value.casefold() in {one.casefold() for one in step.operand}
            case "matches":
                return step.operand.search(value) is not None
            case "is_set":
                return bool(value) is bool(step.operand)
            case "at_least" | "less_than":
                number = _number(value)
                return number is not None and bool(number >= step.operand) is (step.test == "at_least")

    # --- actions -------------------------------------------------------------------------------------------

    def _say(self, prompt: Prompt) -> None:
        for part in prompt.parts:
            if isinstance(part, Sound):
                source = part.source.fill(self._variables).strip()
                if source:
                    self._actions.append(Play(source, barge_in=prompt.barge_in))
            elif (text := part.fill(self._variables)).strip():
                self._actions.append(Say(text, barge_in=prompt.barge_in))

    def _ask(self, step: Waiting, prompt: Prompt) -> None:
        """Put the question of a step: keys are gathered, and words may come instead."""
        self._say(prompt)
        wait_s = step.retry.wait_s
        match step:
            case DigitsStep():
                self._actions.append(GatherDigits(step.most, step.terminator, wait_s, step.next_s, step.masked))
            case MenuStep():
                choices = (*step.choices, *self._flow.always)
                longest = max((len(key) for choice in choices for key in choice.keys), default=1)
                self._actions.append(GatherDigits(longest, "", wait_s, _MENU_NEXT_S))
            case ListenStep():
                self._actions.append(GatherDigits(None, "#", wait_s))


def _spaced(actions: list[Action]) -> tuple[Action, ...]:
    """Keep texts that follow each other apart: they are joined as they come."""
    spaced = list(actions)
    for at, action in enumerate(spaced[:-1]):
        if isinstance(action, Say) and isinstance(spaced[at + 1], Say) and not action.text[-1:].isspace():
            spaced[at] = msgspec.structs.replace(action, text=action.text + " ")
    return tuple(spaced)


def _field(document: Any, path: str) -> str | None:
    """Return a field of a JSON document as text; None: it is not there."""
    for name in path.split("."):
        if isinstance(document, Mapping) and name in document:
            document = document[name]
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    if document is None or isinstance(document, Mapping | list):
        return None
    return str(document).lower() if isinstance(document, bool) else str(document)


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
