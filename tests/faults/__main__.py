"""The fault table: a call for everything that may fail, in every way, in every state of a call.

`python -m tests.faults` plays some two hundred simulated calls in real time, many at once, each against a bridge of
its own with real sockets, files and, for the bus, a real NATS server, and tells of each what the caller heard, what
the record says and what is lost. It ends with 1 where a call was stuck, a finished turn was lost, or an exception
was handled by nobody.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import click

from tests.faults.catalogue import all_cells
from tests.faults.outcome import Outcome
from tests.faults.run import play_all
from tests.faults.show import as_markdown, as_text


@click.command()
@click.option("--only", multiple=True, help="Cells whose name holds this: `agent /`, `stalls`, `silence` …")
@click.option("--at-once", default=24, show_default=True, help="Calls at the same time.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the table to this file too.")
def main(only: tuple[str, ...], at_once: int, *, json_: bool, markdown: Path | None) -> None:
    """Play the fault table."""
    cells = [cell for cell in all_cells() if all(text in cell.name for text in only)]
    begin = time.monotonic()

    def done(outcome: Outcome) -> None:
        mark = "x" if outcome.wrong else "."
        click.echo(mark, err=True, nl=False)

    outcomes = asyncio.run(play_all(cells, at_once=at_once, done=done))
    click.echo(err=True)
    wrong = [one for one in outcomes if one.wrong]
    if markdown is not None:
        markdown.write_text(as_markdown(outcomes), "utf-8")
    if json_:
        click.echo(json.dumps([one.as_json() for one in outcomes], indent=1))
    else:
        click.echo(as_text(outcomes))
        played = [one for one in outcomes if not one.cell.impossible]
        click.echo(
            f"\n{len(outcomes)} cells, {len(played)} calls in {time.monotonic() - begin:.0f} s, {len(wrong)} wrong"
        )
    for one in wrong:
        for text in one.wrong:
            click.echo(f"WRONG {one.cell.name}: {text}", err=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
