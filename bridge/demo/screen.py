"""What the user of the demo sees: in a terminal with words as they come, elsewhere (CI, a file) as plain lines."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.demo.story import Row, Story

_LOOKS_PER_S: Final = 8
_WHO_STYLE: Final = {"caller": "bold cyan", "agent": "bold green", "": "dim"}
_TONE_STYLE: Final = {"said": "", "cut": "bold red", "alarm": "yellow", "time": "dim"}


def plain(row: Row) -> str:
    """The row as one line of text."""
    aside = f"  [{row.aside}]" if row.aside and row.who else f": {row.aside}" if row.aside else ""
    return f"{row.at_s:6.1f}  {row.who or '-':6}  {row.text}{aside}".rstrip()


def coloured(row: Row) -> RenderableType:
    """The row for a terminal: long text is wrapped inside its column."""
    text = Text(row.text, style=_TONE_STYLE[row.tone])
    if row.aside:
        text.append(f"  [{row.aside}]" if row.who else f": {row.aside}", style="dim")
    return _columns(Text(f"{row.at_s:6.1f}", style="dim"), Text(row.who or "-", style=_WHO_STYLE[row.who]), text)


def under_way(story: Story, now: float) -> RenderableType:
    """What is being said just now, to stand below the rows."""
    at = Text(f"{story.seconds(now):6.1f}", style="dim")
    if story.caller_speaks:
        return _columns(at, Text("caller", style="cyan"), Text(f"{story.caller_words.strip()} ...".lstrip()))
    if story.agent_sounds(now):
        return _columns(at, Text("agent", style="green"), Text(f"{story.agent_words(now)} ...".lstrip()))
    return _columns(at, Text("-", style="dim"), Text("(silence)", style="dim"))


def _columns(at: Text, who: Text, text: Text) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=6)
    table.add_column(width=7)
    table.add_column(overflow="fold")
    table.add_row(at, who, text)
    return table


class _Console(Console):
    """Standard output. When nobody reads it any more (`| head`) that is told once, and nothing is raised."""

    def __init__(self, on_closed: Callable[[], object]) -> None:
        super().__init__(highlight=False)
        self._on_closed = on_closed

    def on_broken_pipe(self) -> None:
        """Print nothing more: rows come from inside the call, which an error would break."""
        self.quiet = True
        self._on_closed()


class Screen:
    """Prints the demo on a console. Nothing it writes moves the cursor unless that is a terminal."""

    def __init__(self, console: Console | None = None, *, on_closed: Callable[[], object] = lambda: None) -> None:
        """`console` is standard output unless given; `on_closed` is called when nobody reads that any more."""
        self._console = _Console(on_closed) if console is None else console

    @property
    def closed(self) -> bool:
        """Whether nobody reads any more."""
        return self._console.quiet

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line as it is, however long: paths stay whole."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def row(self, row: Row) -> None:
        """Print a row of the call."""
        if self._console.is_terminal:
            self._console.print(coloured(row))
        else:
            self.say(plain(row))

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show that something takes its time."""
        if self._console.is_terminal:
            with self._console.status(what):
                yield
        else:
            self.say(f"{what} ...")
            yield

    @contextlib.asynccontextmanager
    async def following(self, story: Story) -> AsyncIterator[None]:
        """Keep what is being said just now below the rows, as long as the block runs."""
        if not self._console.is_terminal:
            yield
            return
        loop = asyncio.get_running_loop()
        # Redrawn from the event loop and not from a thread of rich's: the story changes only here.
        with Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stderr=sys.stderr.isatty()
        ) as live:
            ticker: asyncio.TimerHandle | None = None

            def look() -> None:
                nonlocal ticker
                live.update(under_way(story, loop.time()), refresh=True)
                ticker = loop.call_later(1 / _LOOKS_PER_S, look)

            look()
            try:
                yield
            finally:
                if ticker is not None:
                    ticker.cancel()
