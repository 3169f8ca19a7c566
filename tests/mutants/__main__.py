"""`python -m tests.mutants`: make every mistake of the catalogue, one at a time, and see that a test finds it."""

from __future__ import annotations

import json
import os
import queue
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import click

from tests.mutants.catalogue import MUTANTS
from tests.mutants.laboratory import Bench, Verdict
from tests.mutants.mutant import Mutant


def chosen(only: str) -> list[Mutant]:
    """Return the mutants in whose file, texts or harm `only` occurs, whatever its case."""
    wanted = only.casefold()
    return [one for one in MUTANTS if wanted in f"{one.file}\n{one.text}\n{one.harm}".casefold()]


def verdicts(mutants: Sequence[Mutant], folder: Path, jobs: int) -> Iterator[Verdict]:
    """Try the mutants, `jobs` at a time, and return what became of each in their order."""
    benches: queue.SimpleQueue[Bench] = queue.SimpleQueue()
    for number in range(jobs):
        benches.put(Bench(folder / str(number)))

    def try_out(mutant: Mutant) -> Verdict:
        bench = benches.get()
        try:
            return bench.try_out(mutant)
        finally:
            benches.put(bench)

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(try_out, mutants)


def tell(verdict: Verdict) -> None:
    """Print one line, and for a mutant that lives on what it is."""
    mutant = verdict.mutant
    place = f"{mutant.path}:{verdict.line}"
    click.echo(f"{verdict.state:8} {place:42} {verdict.seconds:6.1f} s  {verdict.by}")
    if verdict.state != "killed":
        click.echo(f"         {mutant.harm}\n       - {mutant.text!r}\n       + {mutant.instead!r}")


@click.command()
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes at a time.")
@click.option("--only", default="", help="Only the mutants in whose file, text or harm this occurs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def main(jobs: int, only: str, as_json: bool) -> None:
    """Make every mistake of the catalogue, one at a time, and see that a test of the conversation finds it.

    Exit status 1: a mutant survived, or does not fit the code any more.
    """
    mutants = chosen(only)
    if not mutants:
        raise click.UsageError(f"no mutant has {only!r} in its file, text or harm")
    began = time.monotonic()
    found: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        if wrong := Bench(Path(folder, "sound")).sound():
            raise click.ClickException(f"without any mutant: {wrong}")
        for verdict in verdicts(mutants, Path(folder), min(jobs, len(mutants))):
            found.append(verdict)
            if not as_json:
                tell(verdict)
    killed = sum(verdict.state == "killed" for verdict in found)
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        rows = [asdict(verdict) for verdict in found]
        click.echo(json.dumps({"mutants": len(found), "killed": killed, "seconds": seconds, "verdicts": rows}))
    else:
        click.echo(f"{killed} of {len(found)} mutants killed in {seconds:g} s")
    sys.exit(killed != len(found))


if __name__ == "__main__":
    main()
