"""Fuzzing of all that reads what others wrote: parsers, and a whole running bridge.

`python -m tests.fuzz --seconds 60` makes up messages and files for each parser for a minute: nothing but the errors
that it declares, no case that takes long, no memory that is not given back. `server` is a real `phone-bridge serve`
that gets any messages in any order on its sockets while its speech service raves. What fails is kept, shrunk, in
`--failures`.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import click
import structlog

from tests.fuzz.run import Result, fuzz, save
from tests.fuzz.server import fire
from tests.fuzz.targets import TARGETS


@click.command()
@click.option("--seconds", default=30.0, show_default=True, help="For each target.")
@click.option("--only", default="", help="Targets whose name holds this; `server` is the whole bridge.")
@click.option("--failures", type=click.Path(path_type=Path), default=Path("fuzz-failures"), show_default=True)
@click.option("--seed", default=0, help="Of what is thrown at the server; 0: another one each time.")
def main(seconds: float, only: str, failures: Path, seed: int) -> None:
    """Fuzz."""
    structlog.configure(processors=[_nothing])
    results: list[Result] = []
    for target in TARGETS:
        if only in target.name:
            results.append(fuzz(target, seconds=seconds))
            _show(results[-1], failures)
    if only in "server":
        seed = seed or random.randrange(1, 2**32)
        fired = asyncio.run(fire(seconds=seconds, seed=seed))
        server = Result("server", fired.messages + fired.requests + fired.raved, seconds=fired.seconds)
        server.failures = fired.wrong
        results.append(server)
        _show(server, failures)
        click.echo(
            f"  seed {seed}: {fired.streams} streams with {fired.messages} messages, {fired.requests} requests, "
            f"{fired.raved} messages of the speech service; first {fired.looks[0]}; last {fired.looks[-1]}"
        )
    sys.exit(1 if any(result.failures for result in results) else 0)


def _show(result: Result, folder: Path) -> None:
    declared = f", {result.raised} refused" if result.raised else ""
    click.echo(
        f"{result.name}: {result.cases} cases in {result.seconds:.0f} s{declared}, "
        f"slowest {result.slowest_s * 1000:.0f} ms, {len(result.failures)} failed"
    )
    if result.failures:
        save(result, folder)
        click.echo(f"  {result.failures[0].splitlines()[-1][:300]}   (see {folder})")


def _nothing(*_: object) -> str:
    raise structlog.DropEvent


if __name__ == "__main__":
    main()
