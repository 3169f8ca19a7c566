"""Pictures of flows: every step and every way on is there, and no box lies on another."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.agents.flow.agent import load_flow
from bridge.agents.flow.draw import draw
from bridge.agents.flow.file import read_flow
from bridge.agents.flow.layout import lay_out
from bridge.agents.flow.model import targets
from bridge.command_line.flow import flow as command

RECEPTION = Path(__file__).parents[3] / "config" / "flows" / "reception.yaml"
SVG = "{http://www.w3.org/2000/svg}"


def test_every_step_and_every_way_is_in_the_picture() -> None:
    flow = load_flow(str(RECEPTION))
    picture = ET.fromstring(draw(flow))
    boxes = {group.get("id", "").removeprefix("step-") for group in picture.iter(f"{SVG}g") if group.get("id")}
    assert boxes == set(flow.steps)
    ways = {(name, target.name) for name, step in flow.steps.items() for target in targets(step)}
    paths = [path for path in picture.iter(f"{SVG}path") if str(path.get("class", "")).startswith("way")]
    assert len(paths) == len(ways)
    words = " ".join(text.text or "" for text in picture.iter(f"{SVG}text"))
    assert "key 1" in words and "closed" in words and "At every question: key 0, operator" in words
    assert words.count("yes or no") == 3


def test_texts_cannot_break_the_picture() -> None:
    flow = read_flow("steps: {a: {do: hang_up, say: '<script>&\"'}}", "<x>").flow
    assert flow is not None
    assert "<script>" in "".join(ET.fromstring(draw(flow)).itertext())


names = st.integers(0, 9).map(str)


@settings(max_examples=80, deadline=None)
@given(count=st.integers(1, 10), pairs=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_no_box_lies_on_another_whatever_leads_where(count: int, pairs: set[tuple[int, int]]) -> None:
    sizes = {str(number): (100.0, 30.0 + number) for number in range(count)}
    edges = [(str(a), str(b), "") for a, b in sorted(pairs) if a < count and b < count]
    layout = lay_out(sizes, edges)
    assert len(layout.arrows) == len(edges)
    for one, other in combinations(layout.boxes.values(), 2):
        beside = abs(one.x - other.x) >= (one.width + other.width) / 2
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
    for box in layout.boxes.values():
        assert box.x - box.width / 2 >= 0 and box.x + box.width / 2 <= layout.width
        assert box.y >= 0 and box.y + box.height <= layout.height
    for arrow in layout.arrows:
        begin, end = layout.boxes[arrow.begin], layout.boxes[arrow.end]
        if arrow.begin != arrow.end:
            assert arrow.back == (end.y < begin.y)
            assert arrow.points[-1][1] == (end.y + end.height if arrow.back else end.y)


def test_check_tells_all_mistakes_and_fails(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("steps:\n  a: {do: goto, next: b}\n  c: {do: hang_up}\n")
    ran = CliRunner().invoke(command, ["check", str(file)], standalone_mode=False)
    assert ran.return_value == 1
    assert ran.output.splitlines() == [
        f"{file}:2: error: there is no step b: the steps: a, c",
        f"{file}:3: warning: no step leads to c: remove it, or name it where it is to follow",
    ]
    as_json = CliRunner().invoke(command, ["check", "--json", str(file)], standalone_mode=False)
    assert '"line": 2' in as_json.output and as_json.return_value == 1


def test_check_passes_what_can_be_used() -> None:
    ran = CliRunner().invoke(command, ["check", str(RECEPTION)], standalone_mode=False)
    assert (ran.return_value, ran.output) == (0, f"{RECEPTION} can be used: steps 17, first greeting\n")


def test_draw_writes_a_picture(tmp_path: Path) -> None:
    out = tmp_path / "picture.svg"
    ran = CliRunner().invoke(command, ["draw", str(RECEPTION), "--out", str(out)], standalone_mode=False)
    assert (ran.return_value, ran.output) == (0, f"wrote {out}\n")
    ET.parse(out)
    refused = CliRunner().invoke(command, ["draw", str(RECEPTION), "--out", str(tmp_path / "no" / "x.svg")])
    assert "cannot write" in refused.output
    refused = CliRunner().invoke(command, ["draw", str(RECEPTION), "--out", str(tmp_path / "x.gif")])
    assert "wanted a file ending in .svg or .png" in refused.output
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("steps:")
    refused = CliRunner().invoke(command, ["draw", str(wrong), "--out", str(out)])
    assert f"wrong.yaml has mistakes: see  phone-bridge flow check {wrong}" in refused.output


@pytest.mark.parametrize("ending", [".png"])
def test_a_png_needs_its_library(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cairosvg", None)
    ran = CliRunner().invoke(command, ["draw", str(RECEPTION), "--out", str(tmp_path / f"x{ending}")])
    assert "a PNG needs cairosvg" in ran.output
