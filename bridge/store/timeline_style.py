"""How a picture of a call looks: sizes, and colours for light and dark readers. Pure."""

from __future__ import annotations

from typing import Final

from bridge.store.svg import FONT

WIDTH: Final = 1400
LEFT: Final = 92
"""Where a lane's time begins; the names of its rows stand before it."""
RIGHT: Final = 1372
MARGIN: Final = 28

_COLOURS: Final = {
    # name: on light, on dark
    "back": ("#ffffff", "#10141b"),
    "panel": ("#f5f7fa", "#181e27"),
    "grid": ("#e2e6ec", "#28303c"),
    "ink": ("#1a2130", "#e9edf3"),
    "soft": ("#667085", "#98a4b5"),
    "caller": ("#2f6bdc", "#5b94f5"),
    "agent": ("#0c8f70", "#25b08d"),
    "wave": ("#ffffff", "#ffffff"),
    "idle": ("#aeb7c4", "#4b5767"),
    "barge": ("#d02f5f", "#ff6f96"),
    "alarm": ("#b86b00", "#f0aa3c"),
    "key": ("#6440cf", "#a78bfa"),
    "note": ("#0b7f94", "#4cc5da"),
    "problem": ("#d32f2f", "#ff7b72"),
    "plain": ("#667085", "#98a4b5"),
    "quiet": ("#7ea6ee", "#3f69b3"),
    "eager": ("#2f6bdc", "#78a9ff"),
    "text": ("#7b57e0", "#9d80f5"),
    "audio": ("#d99a1c", "#e2b04a"),
    "sent": ("#12a37f", "#2cc6a0"),
    "mark": ("#b3bcc9", "#566375"),
}
_HALO: Final = "paint-order:stroke;stroke-width:4px;stroke-linejoin:round"
"""A rim in the colour of the ground, so that a line behind a text does not strike it through."""
_LOOKS: Final = {
    # class: (properties that take a colour, the rest)
    "back": ({"fill": "back"}, ""),
    "panel": ({"fill": "panel"}, ""),
    "grid": ({"stroke": "grid"}, "stroke-width:1;fill:none"),
    "rail": ({"fill": "grid"}, "opacity:.55"),
    "h1": ({"fill": "ink"}, "font-size:22px;font-weight:600"),
    "h2": ({"fill": "ink"}, "font-size:15px;font-weight:600"),
    "big": ({"fill": "ink"}, "font-size:20px;font-weight:600"),
    "body": ({"fill": "ink", "stroke": "panel"}, f"font-size:12px;{_HALO}"),
    "strong": ({"fill": "ink"}, "font-size:12px;font-weight:600"),
    "said": ({"fill": "ink"}, ""),
    "missed": ({"fill": "soft"}, "stroke:none;font-style:italic;text-decoration:line-through"),
    "aside": ({"fill": "soft"}, "font-style:italic"),
    "soft": ({"fill": "soft"}, "font-size:12px"),
    "small": ({"fill": "soft"}, "font-size:11px"),
    "tiny": ({"fill": "soft"}, "font-size:10px"),
    "row-caller": ({"fill": "caller"}, "font-size:12px;font-weight:600"),
    "row-agent": ({"fill": "agent"}, "font-size:12px;font-weight:600"),
    "caller": ({"fill": "caller"}, ""),
    "caller-aside": ({"fill": "caller"}, "opacity:.5"),
    "caller-tail": ({"fill": "caller"}, "opacity:.28"),
    "trouble": ({"stroke": "problem"}, "fill:none;stroke-width:1.6;stroke-dasharray:5 3"),
    "amiss": ({"fill": "problem"}, "font-weight:600"),
    "agent": ({"fill": "agent"}, ""),
    "noise": ({"stroke": "caller"}, "fill:none;stroke-width:1.2;stroke-dasharray:3 3"),
    "unheard": ({"stroke": "agent"}, "fill:url(#hatch);stroke-width:1.2;stroke-dasharray:4 3"),
    "hatch": ({"stroke": "agent"}, "stroke-width:2;opacity:.55"),
    "hush": ({"fill": "panel", "stroke": "agent"}, "stroke-width:1.2"),
    "hush-sign": ({"fill": "alarm"}, ""),
    "wave": ({"stroke": "wave"}, "stroke-linecap:round;fill:none;opacity:.85"),
    "idle": ({"stroke": "idle"}, "stroke-linecap:round;fill:none"),
    "wait": ({"stroke": "soft"}, "stroke-width:1.4;fill:none"),
    "gone": ({"fill": "problem"}, "opacity:.12"),
    "unrecorded": ({"fill": "plain"}, "opacity:.16"),
    "cut": ({"stroke": "back"}, "stroke-width:1.6;fill:none"),
    "turn-end": ({"fill": "ink"}, ""),
    "fill-quiet": ({"fill": "quiet"}, ""),
    "fill-eager": ({"fill": "eager"}, ""),
    "fill-text": ({"fill": "text"}, ""),
    "fill-audio": ({"fill": "audio"}, ""),
    "fill-sent": ({"fill": "sent"}, ""),
    "fill-mark": ({"fill": "mark"}, ""),
}
MARKER_COLOURS: Final = {
    "barge-in": "barge",
    "false alarm": "alarm",
    "key": "key",
    "note": "note",
    "message": "key",
    "transfer": "note",
    "problem": "problem",
    "stream broke": "problem",
    "stream resumed": "plain",
    "recording paused": "plain",
    "recording resumed": "plain",
    "early answer dropped": "plain",
    "end": "plain",
}
for _name in sorted(set(MARKER_COLOURS.values())):
    _LOOKS[f"m-{_name}"] = ({"fill": _name, "stroke": "panel"}, f"font-size:11px;font-weight:600;{_HALO}")
    _LOOKS[f"l-{_name}"] = ({"stroke": _name}, "stroke-width:1.2;stroke-dasharray:2 3;fill:none;opacity:.8")


def stylesheet() -> str:
    """The picture's style: plain rules for light, and what differs for readers who ask for dark."""
    rules = [f"text{{font-family:{FONT}}}"]
    dark = []
    for look, (colours, rest) in _LOOKS.items():
        light = ";".join(f"{what}:{_COLOURS[name][0]}" for what, name in colours.items())
        rules.append(f".{look}{{{';'.join(filter(None, (light, rest)))}}}")
        dark.append(f".{look}{{{';'.join(f'{what}:{_COLOURS[name][1]}' for what, name in colours.items())}}}")
    return f"<style>{''.join(rules)}@media (prefers-color-scheme:dark){{{''.join(dark)}}}</style>"


def definitions() -> str:
    """The hatching of what nobody heard."""
    return (
        '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)">'
        '<line x1="1" y1="0" x2="1" y2="7" class="hatch"/></pattern></defs>'
    )
