"""A flow as a picture (SVG): a box for each step, an arrow for each way on. Pure."""

from __future__ import annotations

import textwrap
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from bridge.agents.flow.layout import Arrow, Box, lay_out
from bridge.agents.flow.match import YES
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
    SayStep,
    SetStep,
    Sound,
    Step,
    TransferStep,
    VoicemailStep,
    prompts,
    targets,
)

_WIDTH: Final = 230.0
_MARGIN: Final = 28.0
_LINE: Final = 15.0
_COLUMNS: Final = 33
"""Characters of a line of a box."""
_MOST_LINES: Final = 4
_LABEL: Final = 26
"""Characters of an arrow's label."""

_KINDS: Final[dict[type[Step], tuple[str, str]]] = {
    SayStep: ("say", "#e8f0fe"),
    MenuStep: ("menu", "#fff4d6"),
    DigitsStep: ("digits", "#fff4d6"),
    ListenStep: ("listen", "#fff4d6"),
    HoursStep: ("opening hours", "#eee8fa"),
    IfStep: ("if", "#eee8fa"),
    SetStep: ("set", "#f1f1f1"),
    LookupStep: ("look-up", "#e0f4f1"),
    TransferStep: ("transfer", "#dff3df"),
    VoicemailStep: ("voicemail", "#fde8ef"),
    NoteStep: ("note", "#f1f1f1"),
    HangUpStep: ("hang up", "#f9dcd9"),
    GotoStep: ("go to", "#f1f1f1"),
}
"""What each kind of step is called, and its colour."""

_STYLE: Final = (
    "text{font-family:Helvetica,Arial,sans-serif;font-size:12px;fill:#222}"
    ".name{font-weight:bold;font-size:13px}.kind{fill:#666;font-size:11px}"
    ".box{stroke:#667;stroke-width:1}.start{stroke:#223;stroke-width:3}"
    ".way{fill:none;stroke:#556;stroke-width:1.3}.back{stroke-dasharray:5 4;stroke:#a05a2c}"
    ".label{font-size:11px;fill:#334;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}"
)
_MARKERS: Final = "".join(
    f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
    f'<path d="M0 0L10 5L0 10z" fill="{colour}"/></marker>'
    for name, colour in (("tip", "#556"), ("back-tip", "#a05a2c"))
)


def draw(flow: Flow) -> str:
    """Return the picture of a flow as an SVG document."""
    lines = {name: _lines(step) for name, step in flow.steps.items()}
    order = [flow.start, *(name for name in flow.steps if name != flow.start)]
    sizes = {name: (_WIDTH, 30.0 + _LINE * len(lines[name])) for name in order}
    layout = lay_out(sizes, _edges(flow))
    legend = _legend(flow)
    top = _MARGIN + 26 + _LINE * len(legend) + (12 if legend else 0)
    width, height = max(layout.width, 420.0) + 2 * _MARGIN + 20, layout.height + top + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escape(flow.name)}</title><style>{_STYLE}</style><defs>{_MARKERS}</defs>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        f'<text class="name" x="{_MARGIN}" y="{_MARGIN + 4}">{escape(flow.name)}</text>',
    ]
    for at, text in enumerate(legend):
        parts.append(f'<text x="{_MARGIN}" y="{_MARGIN + 24 + _LINE * at}">{escape(text)}</text>')
    parts.append(f'<g transform="translate({_MARGIN} {top})">')
    parts += [_way(arrow) for arrow in layout.arrows]
    parts += [_box(flow, name, layout.boxes[name], lines[name]) for name in order]
    parts += [_label(arrow) for arrow in layout.arrows if arrow.label]
    return "\n".join([*parts, "</g></svg>", ""])


def _edges(flow: Flow) -> list[tuple[str, str, str]]:
    """Every way on; several that lead from one step to another are one, with all their labels."""
    labels: dict[tuple[str, str], list[str]] = {}
    for name, step in flow.steps.items():
        for target in targets(step):
            words = labels.setdefault((name, target.name), [])
            if target.why and target.why not in words:
                words.append(target.why)
    return [(begin, end, _short(", ".join(words), _LABEL)) for (begin, end), words in labels.items()]


def _legend(flow: Flow) -> list[str]:
    """What holds everywhere, and would be an arrow from every question."""
    lines = []
    for choice in flow.always:
        words = [*(f"key {key}" for key in choice.keys), *choice.phrases]
        leads = "the question again" if choice.next is None else choice.next.name
        lines.append(_short(f"At every question: {', '.join(words)} → {leads}", 90))
    if flow.on_error is not None:
        lines.append(f"After a fault → {flow.on_error.name}")
    return lines


def _lines(step: Step) -> list[str]:
    """What a box tells of its step, beside its name."""
    said = []
    for prompt in prompts(step):
        said = [f"♪ {part.source.source}" if isinstance(part, Sound) else part.source for part in prompt.parts]
        break
    match step:
        case HoursStep(_, name):
            said = [name]
        case IfStep():
            operand = getattr(step.operand, "pattern", step.operand)
            said = [f"{step.variable} {step.test.replace('_', ' ')} {operand}"]
        case SetStep(changes, recording=recording):
            said = [f"{variable} = {text.source}" for variable, text in changes]
            said += [] if recording is None else [f"recording {recording}"]
        case NoteStep(data):
            said = [f"{key}: {text.source}" for key, text in data]
        case LookupStep():
            said = [*said, f"{step.method} {step.url.source}"]
        case TransferStep():
            said = [*said, f"→ {step.to.source}"]
        case _:
            pass
    lines = [line for text in said for line in textwrap.wrap(text, _COLUMNS)]
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[: _MOST_LINES - 1], _short(" ".join(lines[_MOST_LINES - 1 :]), _COLUMNS)]


def _box(flow: Flow, name: str, box: Box, lines: list[str]) -> str:
    step = flow.steps[name]
    kind, colour = _KINDS[type(step)]
    if isinstance(step, MenuStep) and step.choices[0].phrases[: len(YES)] == YES:
        kind = "yes or no"
    left = box.x - box.width / 2
    css = "box start" if name == flow.start else "box"
    rows = "".join(
        f'<text x="{left + 10:.1f}" y="{box.y + 34 + _LINE * at:.1f}">{escape(line)}</text>'
        for at, line in enumerate(lines)
    )
    return (
        f"<g id={quoteattr('step-' + name)}>"
        f'<rect class="{css}" x="{left:.1f}" y="{box.y:.1f}" width="{box.width:.0f}" '
        f'height="{box.height:.0f}" rx="7" fill="{colour}"/>'
        f'<text class="name" x="{left + 10:.1f}" y="{box.y + 18:.1f}">{escape(_short(name, 22))}</text>'
        f'<text class="kind" x="{left + box.width - 10:.1f}" y="{box.y + 18:.1f}" text-anchor="end">{kind}</text>'
        f"{rows}</g>"
    )


def _way(arrow: Arrow) -> str:
    (x, y), *rest = arrow.points
    path = [f"M{x:.1f} {y:.1f}"]
    if arrow.begin == arrow.end:
        ((_, end),) = rest
        path.append(f"C{x + 40:.1f} {y - 14:.1f} {x + 40:.1f} {end + 14:.1f} {x + 1:.1f} {end:.1f}")
    else:
        for at_x, at_y in rest:
            middle = (y + at_y) / 2
            path.append(f"C{x:.1f} {middle:.1f} {at_x:.1f} {middle:.1f} {at_x:.1f} {at_y:.1f}")
            x, y = at_x, at_y
    css, tip = ("way back", "back-tip") if arrow.back else ("way", "tip")
    return f'<path class="{css}" d="{"".join(path)}" marker-end="url(#{tip})"/>'


def _label(arrow: Arrow) -> str:
    """The label stands near the box that the arrow comes from: there it belongs to one arrow only."""
    (x, y), (next_x, next_y) = arrow.points[:2]
    if arrow.begin == arrow.end:
        return f'<text class="label" x="{x + 36:.1f}" y="{y + 12:.1f}">{escape(arrow.label)}</text>'
    part = 0.3
    slope = 3 * part**2 - 2 * part**3
    at_x, at_y = x + (next_x - x) * slope, y + (next_y - y) * part
    return (
        f'<text class="label" x="{at_x:.1f}" y="{at_y + 3:.1f}" text-anchor="middle">{escape(arrow.label)}</text>'
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
