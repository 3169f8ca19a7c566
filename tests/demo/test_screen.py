from __future__ import annotations

import asyncio
import io

from rich.console import Console

from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.commands import Record
from bridge.demo.screen import Screen, under_way
from bridge.demo.story import Row, Story


def terminal(width: int = 60) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, color_system="standard")


def file() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=60, highlight=False)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rows_in_a_file_are_one_line_each_however_long() -> None:
    console = file()
    screen = Screen(console)
    screen.row(Row(3.21, "caller", "word " * 30, "recorded human"))
    screen.row(Row(63.0, "", "1.00 s of silence", "turn over", tone="time"))
    assert written(console).splitlines() == [
        f"   3.2  caller  {'word ' * 30}  [recorded human]",
        "  63.0  -       1.00 s of silence: turn over",
    ]


def test_rows_in_a_terminal_are_coloured_and_wrapped_in_their_column() -> None:
    console = terminal()
    Screen(console).row(Row(3.2, "agent", "word " * 20))
    assert "\x1b[1;32magent" in written(console)
    assert "\n" + " " * 15 + "word" in written(console)


def test_what_the_user_says_is_no_markup() -> None:
    for console in (file(), terminal()):
        Screen(console).row(Row(0, "caller", "[bold]not bold[/bold] :smile:"))
        assert "[bold]not bold[/bold] :smile:" in written(console)


def test_words_grow_in_place() -> None:
    story = Story(lambda _: None)
    story.step(100.0, on.StreamStarted(), [Record(journal.CallOpened())])

    def shown(now: float) -> str:
        console = file()
        console.print(under_way(story, now))
        return " ".join(written(console).split())

    assert shown(101.0) == "1.0 - (silence)"
    story.step(101.0, on.TurnStarted(), [])
    assert shown(101.5) == "1.5 caller ..."
    story.step(102.0, on.TurnUpdated(" When do"), [])
    assert shown(102.5) == "2.5 caller When do ..."
    story.step(103.0, on.TurnEnded("When do you open?"), [])
    assert shown(103.0) == "3.0 - (silence)"


async def test_the_live_view_is_drawn_in_a_terminal_and_leaves_nothing_behind_elsewhere() -> None:
    for console, drawn in ((terminal(), True), (file(), False)):
        async with Screen(console).following(Story(lambda _: None)):
            await asyncio.sleep(0)
        assert ("(silence)" in written(console)) is drawn


def test_what_takes_time_is_said() -> None:
    console = file()
    with Screen(console).busy("Starting"):
        pass
    assert written(console) == "Starting ...\n"


class _Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_reader_who_is_gone_is_told_once() -> None:
    told: list[None] = []
    screen = Screen(on_closed=lambda: told.append(None))
    screen._console.file = _Gone()
    screen.say("a")
    screen.say("b")
    assert screen.closed
    assert told == [None]
