"""Where the boxes and arrows of a flow's picture go: layer by layer, from the start downwards. Pure.

The usual way (Sugiyama): arrows that lead back are turned round, each box is put below all that lead to it, arrows
over several layers get bends, and each layer is ordered so that few arrows cross.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_GAP_X: Final = 36.0
_BEND: Final = 26.0
"""Width that a bend of an arrow takes in its layer."""
_GAP_Y: Final = 74.0
_SWEEPS: Final = 12


@dataclass(frozen=True, slots=True)
class Box:
    """A box in its place."""

    x: float
    """Its middle."""
    y: float
    """Its upper edge."""
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow in its place."""

    begin: str
    end: str
    label: str
    points: tuple[tuple[float, float], ...]
    """From the edge of one box to that of the other, with the bends between."""
    back: bool
    """It leads upwards."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole picture."""

    boxes: Mapping[str, Box]
    arrows: tuple[Arrow, ...]
    width: float
    height: float


Edge = tuple[str, str, str]
"""From, to, label."""


def lay_out(sizes: Mapping[str, tuple[float, float]], edges: Sequence[Edge]) -> Layout:
    """Place boxes of the given widths and heights, in whose order the search for circles begins."""
    forward, turned = _without_circles(list(sizes), edges)
    layer = _layers(list(sizes), forward)
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for name in sizes:
        rows[layer[name]].append(name)
    chains = [_chain(rows, layer, number, begin, end) for number, (begin, end) in enumerate(forward)]
    pairs = [pair for chain in chains for pair in pairwise(chain)]
    _order(rows, pairs)
    widths = {name: sizes[name][0] if name in sizes else _BEND for row in rows for name in row}
    xs = _columns(rows, widths, pairs)
    spans: dict[str, tuple[float, float]] = {}
    y = 0.0
    for row in rows:
        height = max((sizes[name][1] for name in row if name in sizes), default=0.0)
        spans.update(dict.fromkeys(row, (y, y + height)))
        y += height + _GAP_Y
    boxes = {
        name: Box(xs[name], (sum(spans[name]) - height) / 2, width, height)
        for name, (width, height) in sizes.items()
    }
    arrows = _arrows(edges, turned, chains, boxes, xs, spans)
    right = max((box.x + box.width / 2 for box in boxes.values()), default=0.0)
    right = max([right, *(x for arrow in arrows for x, _ in arrow.points)])
    return Layout(boxes, arrows, right, y - _GAP_Y)


def _without_circles(names: Sequence[str], edges: Sequence[Edge]) -> tuple[list[tuple[str, str]], list[bool]]:
    """Turn the edges round that lead back. Returns them all, and which were turned."""
    ways: dict[str, list[str]] = {name: [] for name in names}
    for begin, end, _ in edges:
        ways[begin].append(end)
    order: dict[str, int] = {}
    open_now: set[str] = set()
    back: set[tuple[str, str]] = set()
    for root in names:
        stack = [(root, iter(ways[root]))] if root not in order else []
        if stack:
            order[root] = len(order)
            open_now.add(root)
        while stack:
            name, following = stack[-1]
            for end in following:
                if end in open_now:
                    back.add((name, end))
                elif end not in order:
                    order[end] = len(order)
                    open_now.add(end)
                    stack.append((end, iter(ways[end])))
                    break
            else:
                open_now.discard(name)
                stack.pop()
    turned = [(begin, end) in back for begin, end, _ in edges]
    forward = [(end, begin) if up else (begin, end) for (begin, end, _), up in zip(edges, turned, strict=True)]
    return forward, turned


def _layers(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Put each box below everything that leads to it."""
    waiting = dict.fromkeys(names, 0)
    ways: dict[str, list[str]] = {name: [] for name in names}
    for begin, end in edges:
        if begin != end:
            waiting[end] += 1
            ways[begin].append(end)
    layer = dict.fromkeys(names, 0)
    ready = [name for name in names if not waiting[name]]
    while ready:
        name = ready.pop(0)
        for end in ways[name]:
            layer[end] = max(layer[end], layer[name] + 1)
            waiting[end] -= 1
            if not waiting[end]:
                ready.append(end)
    return layer


def _chain(rows: list[list[str]], layer: Mapping[str, int], number: int, begin: str, end: str) -> list[str]:
    """Return the stations of an arrow, and put its bends into the layers between."""
    if begin == end:
        return [begin, end]
    bends = []
    for row in range(layer[begin] + 1, layer[end]):
        bends.append(f"{number}/{row}")
        rows[row].append(bends[-1])
    return [begin, *bends, end]


def _order(rows: list[list[str]], pairs: Sequence[tuple[str, str]]) -> None:
    """Order each layer by where its neighbours stand, downwards and upwards in turn."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for begin, end in pairs:
        above.setdefault(end, []).append(begin)
        below.setdefault(begin, []).append(end)
    place = {name: at for row in rows for at, name in enumerate(row)}
    for sweep in range(_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            weights = {}
            for at, name in enumerate(row):
                near = [place[other] for other in neighbours.get(name, ())]
                weights[name] = sum(near) / len(near) if near else float(at)
            row.sort(key=weights.__getitem__)
            place.update({name: at for at, name in enumerate(row)})


def _columns(
    rows: Sequence[Sequence[str]], widths: Mapping[str, float], pairs: Sequence[tuple[str, str]]
) -> dict[str, float]:
    """Give everything its place from left to right: near its neighbours, without touching the next."""
    near: dict[str, list[str]] = {}
    for begin, end in pairs:
        near.setdefault(begin, []).append(end)
        near.setdefault(end, []).append(begin)
    xs: dict[str, float] = {}
    for row in rows:
        x = 0.0
        for name in row:
            xs[name] = x + widths[name] / 2
            x += widths[name] + _GAP_X
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [
                sum(xs[other] for other in near.get(name, (name,))) / len(near.get(name, (name,))) for name in row
            ]
            _settle(row, wanted, widths, xs)
    left = min((xs[name] - widths[name] / 2 for row in rows for name in row), default=0.0)
    return {name: x - left for name, x in xs.items()}


def _settle(row: Sequence[str], wanted: Sequence[float], widths: Mapping[str, float], xs: dict[str, float]) -> None:
    """Bring a layer as near to its wanted places as its widths allow: what would touch is moved together."""
    groups: list[tuple[float, list[str], list[float]]] = []  # The left edge, the names, and their offsets from it.
    for name, place in zip(row, wanted, strict=True):
        groups.append((place - widths[name] / 2, [name], [0.0]))
        while len(groups) > 1 and groups[-2][0] + _width(groups[-2], widths) + _GAP_X > groups[-1][0]:
            right, left = groups.pop(), groups.pop()
            shift = _width(left, widths) + _GAP_X
            count, more = len(left[1]), len(right[1])
            edge = (left[0] * count + (right[0] - shift) * more) / (count + more)
            groups.append((edge, left[1] + right[1], left[2] + [shift + offset for offset in right[2]]))
    for edge, names, offsets in groups:
        for name, offset in zip(names, offsets, strict=True):
            xs[name] = edge + offset + widths[name] / 2


def _width(group: tuple[float, list[str], list[float]], widths: Mapping[str, float]) -> float:
    return group[2][-1] + widths[group[1][-1]]


def _arrows(
    edges: Sequence[Edge],
    turned: Sequence[bool],
    chains: Sequence[Sequence[str]],
    boxes: Mapping[str, Box],
    xs: Mapping[str, float],
    spans: Mapping[str, tuple[float, float]],
) -> tuple[Arrow, ...]:
    """Lead each arrow from box to box; `spans` are the upper and lower ends of the layers of all bends."""
    ports = _ports(chains, boxes, xs)
    arrows = []
    for number, ((begin, end, label), back, chain) in enumerate(zip(edges, turned, chains, strict=True)):
        upper, lower = boxes[chain[0]], boxes[chain[-1]]
        if begin == end:
            side, middle = upper.x + upper.width / 2, upper.y + upper.height / 2
            arrows.append(Arrow(begin, end, label, ((side, middle - 8), (side, middle + 8)), back=True))
            continue
        points = [(ports[number, 0], upper.y + upper.height)]
        for bend in chain[1:-1]:
            points += [(xs[bend], y) for y in spans[bend]]
        points.append((ports[number, 1], lower.y))
        arrows.append(Arrow(begin, end, label, tuple(reversed(points) if back else points), back))
    return tuple(arrows)


def _ports(
    chains: Sequence[Sequence[str]], boxes: Mapping[str, Box], xs: Mapping[str, float]
) -> dict[tuple[int, int], float]:
    """Where on its box each arrow begins (0) and ends (1): side by side, in the order of where they go."""
    found: dict[tuple[int, int], float] = {}
    for side in (0, 1):
        at_box: dict[str, list[int]] = {}
        for number, chain in enumerate(chains):
            at_box.setdefault(chain[-side], []).append(number)
        for name, numbers in at_box.items():
            box = boxes[name]
            numbers.sort(key=lambda number: xs[chains[number][-2 if side else 1]])
            for at, number in enumerate(numbers, 1):
                found[number, side] = box.x - box.width / 2 + box.width * at / (len(numbers) + 1)
    return found
