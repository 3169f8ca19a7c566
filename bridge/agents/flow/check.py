"""What is wrong with a flow as a whole: steps that lead nowhere or in circles, variables nobody sets. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from bridge.agents.flow.model import (
    Choice,
    DigitsStep,
    Flow,
    HangUpStep,
    IfStep,
    ListenStep,
    LookupStep,
    MenuStep,
    NoteStep,
    Prompt,
    SetStep,
    Sound,
    Step,
    Target,
    TransferStep,
    VoicemailStep,
    Waiting,
    prompts,
    targets,
)
from bridge.agents.flow.nodes import Problems, known_names
from bridge.agents.flow.readers import BUILT_IN, dialled
from bridge.agents.flow.text import Text, words_of

_SERVER: Final = re.compile(r"https?://[^/?#]+[/?#].*", re.DOTALL)
"""What the beginning of a URL must be for the rest to be a matter of that server."""
_SHOWN: Final = 8
"""Steps of a circle that a message names."""


def check(flow: Flow, problems: Problems, exists: Callable[[str], bool] | None) -> None:
    """Note everything that is wrong with a flow whose steps could be read."""
    _check_targets(flow, problems)
    _check_circles(flow, problems)
    _check_reached(flow, problems)
    _check_choices(flow, problems)
    _check_variables(flow, problems)
    _check_numbers(flow, problems)
    _check_servers(flow, problems)
    if exists is not None:
        _check_sounds(flow, problems, exists)


def ways_out(flow: Flow, step: Step) -> Iterator[Target]:
    """Every step that may follow, those included that every question leads to."""
    yield from targets(step)
    if isinstance(step, Waiting):
        yield from (choice.next for choice in flow.always if choice.next is not None)


def _all_targets(flow: Flow) -> Iterator[Target]:
    yield Target(flow.start, flow.lines.get("", 1), "start")
    if flow.on_error is not None:
        yield flow.on_error
    yield from (choice.next for choice in flow.always if choice.next is not None)
    for step in flow.steps.values():
        yield from targets(step)


def _check_targets(flow: Flow, problems: Problems) -> None:
    names = [name for name in flow.lines if name]
    for target in _all_targets(flow):
        if target.name and target.name not in names:
            remedy = known_names(target.name, names, "the steps")
            problems.error(target.line, f"there is no step {target.name}: {remedy}")


def _goes_on(step: Step | None) -> bool:
    """Tell whether a step leads on by itself, without a word or a key of the caller."""
    return step is not None and not isinstance(step, Waiting | VoicemailStep | HangUpStep)


def _check_circles(flow: Flow, problems: Problems) -> None:
    """Find the ways round that never wait for the caller. A transfer is one: it may fail at once, each time."""
    done: set[str] = set()
    for name in flow.steps:
        _walk(flow, name, [], done, problems)


def _walk(flow: Flow, begin: str, path: list[str], done: set[str], problems: Problems) -> None:
    """Search from a step, depth first; without recursion, as a flow may be long."""
    stack: list[tuple[str, Iterator[Target]]] = []

    def enter(name: str) -> None:
        path.append(name)
        step = flow.steps.get(name)
        stack.append((name, iter(tuple(targets(step)) if step is not None and _goes_on(step) else ())))

    if begin not in done:
        enter(begin)
    while stack:
        name, ways = stack[-1]
        target = next(ways, None)
        if target is None:
            stack.pop()
            path.pop()
            done.add(name)
        elif target.name in path:
            circle = path[path.index(target.name) :]
            shown = [*circle[:_SHOWN], *(["…"] if len(circle) > _SHOWN else []), target.name]
            problems.error(
                target.line,
                f"these steps go round without ever waiting for the caller: {' → '.join(shown)}; "
                "put a question (menu, yes_no, digits, listen) between them",
            )
        elif target.name in flow.steps and target.name not in done:
            enter(target.name)


def _check_reached(flow: Flow, problems: Problems) -> None:
    reached: set[str] = set()
    ahead = [flow.start] + ([flow.on_error.name] if flow.on_error is not None else [])
    while ahead:
        name = ahead.pop()
        if name in reached:
            continue
        reached.add(name)
        step = flow.steps.get(name)
        if step is None and name in flow.lines:
            return  # Nobody knows where a step leads that could not be read.
        if step is not None:
            ahead += [target.name for target in ways_out(flow, step)]
    for name, line in flow.lines.items():
        if name and name not in reached:
            problems.warning(line, f"no step leads to {name}: remove it, or name it where it is to follow")


def _check_choices(flow: Flow, problems: Problems) -> None:
    _no_doubles(flow.always, "always", 1, problems)
    for name, step in flow.steps.items():
        if isinstance(step, MenuStep):
            _no_doubles(step.choices, f"the step {name}", flow.lines[name], problems)


def _no_doubles(choices: Sequence[Choice], what: str, line: int, problems: Problems) -> None:
    seen: dict[str, Choice] = {}
    for choice in choices:
        spoken = {" ".join(words_of(phrase)): f"the phrase {phrase!r}" for phrase in choice.phrases}
        at = choice.next.line if choice.next is not None else line
        for text, told in {**spoken, **{key: f"key {key}" for key in choice.keys}}.items():
            if seen.get(text, choice) is not choice:
                problems.error(at, f"{what}: two choices have {told}: give one of them another")
            seen[text] = choice
        for phrase in choice.phrases:
            if not words_of(phrase):
                problems.error(at, f"{what}: the phrase {phrase!r} has no words")


def _check_variables(flow: Flow, problems: Problems) -> None:
    known = {*BUILT_IN, *flow.variables}
    secret: set[str] = set()
    for step in flow.steps.values():
        known |= set(_sets(step))
        if isinstance(step, DigitsStep) and step.masked:
            secret.add(step.variable)
    for choice in flow.always:
        known |= {variable for variable, _ in choice.changes}
    for text in _texts(flow):
        _known(text.variables, text.line, known, problems)
    for name, step in flow.steps.items():
        if isinstance(step, IfStep) and step.variable:
            _known((step.variable,), flow.lines[name], known, problems)
        _not_kept(_kept(step), secret, problems)
    _not_kept((text for choice in flow.always for _, text in choice.changes), secret, problems)


def _not_kept(texts: Iterable[Text], secret: set[str], problems: Problems) -> None:
    for text in texts:
        for variable in secret.intersection(text.variables):
            problems.error(
                text.line, f"{{{variable}}} is masked, and this would say or keep it: use it in a lookup only"
            )


def _check_servers(flow: Flow, problems: Problems) -> None:
    """See that nothing a caller says or a service answers decides which server is asked."""
    set_later = {variable for step in flow.steps.values() for variable in _sets(step)}
    set_later |= {variable for choice in flow.always for variable, _ in choice.changes}
    for step in flow.steps.values():
        if not isinstance(step, LookupStep) or not step.url.pieces:
            continue
        first, rest = step.url.pieces[0], step.url.pieces[1:]
        if isinstance(first, str):
            fixed = _SERVER.fullmatch(first) is not None or not rest
        else:
            value = flow.variables.get(first[0])
            fixed = value is not None and not value.variables and first[0] not in set_later
            fixed = fixed and (not rest or (isinstance(rest[0], str) and rest[0][0] in "/?"))
        if not fixed:
            problems.error(
                step.url.line,
                f"url is {step.url.source!r}: which server is asked must be certain: write it out, or as a variable"
                " that stands at the top and is set nowhere else, and other variables only behind a /",
            )


def _check_numbers(flow: Flow, problems: Problems) -> None:
    """Find transfers to a variable that nothing changes, and that cannot be dialled."""
    changed = {variable for step in flow.steps.values() for variable in _sets(step)}
    changed |= {variable for choice in flow.always for variable, _ in choice.changes}
    for name, step in flow.steps.items():
        if not isinstance(step, TransferStep) or len(step.to.variables) != 1:
            continue
        (variable,) = step.to.variables
        value = flow.variables.get(variable)
        if step.to.source != f"{{{variable}}}" or value is None or value.variables or variable in changed:
            continue
        if not dialled(value.source):
            problems.error(
                step.to.line,
                f"the step {name}: to is {{{variable}}}, which is {value.source!r}:"
                " wanted a number such as +15551234567, or sip:…",
            )


def _known(names: Sequence[str], line: int, known: set[str], problems: Problems) -> None:
    for name in names:
        base = name.partition(".")[0]
        if base not in known or base not in {name, "parameters"} or name == "parameters":
            wanted = "write {parameters.name}" if base == "parameters" else known_names(name, known, "variables")
            problems.error(line, f"nothing sets the variable {name}: {wanted}")


def _sets(step: Step) -> Iterator[str]:
    """The variables that a step may set."""
    match step:
        case MenuStep():
            yield step.variable
            for choice in step.choices:
                yield from (variable for variable, _ in choice.changes)
        case DigitsStep() | ListenStep() | VoicemailStep():
            yield step.variable
        case SetStep():
            yield from (variable for variable, _ in step.changes)
        case LookupStep():
            yield from (variable for variable, _ in step.results)
        case _:
            pass


def _kept(step: Step) -> Iterator[Text]:
    """The texts of a step that are spoken, noted or shown to somebody."""
    for prompt in prompts(step):
        yield from (part.source if isinstance(part, Sound) else part for part in prompt.parts)
    match step:
        case NoteStep():
            yield from (text for _, text in step.data)
        case SetStep():
            yield from (text for _, text in step.changes)
        case MenuStep():
            yield from (text for choice in step.choices for _, text in choice.changes)
        case TransferStep():
            yield from (text for text in (step.to, step.summary, step.caller_id) if text is not None)
        case _:
            pass


def _texts(flow: Flow) -> Iterator[Text]:
    """Every text of a flow that may hold variables."""
    yield from flow.variables.values()
    for choice in flow.always:
        yield from (text for _, text in choice.changes)
    for step in flow.steps.values():
        yield from _kept(step)
        if isinstance(step, LookupStep):
            yield from (step.url, *step.body.values(), *step.headers.values())


def _check_sounds(flow: Flow, problems: Problems, exists: Callable[[str], bool]) -> None:
    for step in flow.steps.values():
        for sound in _sounds(prompts(step)):
            source = sound.source.source
            if "://" in source or sound.source.variables or source == "beep:":
                continue
            if not exists(source):
                problems.error(sound.line, f"there is no sound {source}: put it into the folder of sounds")


def _sounds(all_prompts: Iterator[Prompt]) -> Iterator[Sound]:
    for prompt in all_prompts:
        yield from (part for part in prompt.parts if isinstance(part, Sound))
