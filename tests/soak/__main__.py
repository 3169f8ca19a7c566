"""Hours of calls in minutes: does anything stay behind?

`python -m tests.soak` lets thousands of calls come and go at one real `phone-bridge serve`, many at a time. Callers
hang up at once, vanish, come back, send rubbish, press keys and talk over the agent; the agent fails, is slow,
passes on and hangs up; connections of the speech service break. It prints memory, open files, sockets, threads and
tasks over time, and ends with 1 where a call was stuck, something stayed behind, the calls left too much to the
collector, or the log tells of an exception that nobody has handled. Linux only.

Hours are minutes here, so what is kept for some time, or up to some number, is still being filled when the first
calls are over: memory is compared from the second look on.
"""

from __future__ import annotations

import asyncio
import sys

import click

from tests.soak.run import soak


@click.command()
@click.option("--calls", default=3000, show_default=True)
@click.option("--at-once", default=60, show_default=True, help="Calls at the same time.")
@click.option("--longest", default=4.0, show_default=True, help="Seconds that a caller stays at most.")
@click.option("--seed", default=1, show_default=True, help="Of what is random.")
def main(calls: int, at_once: int, longest: float, seed: int) -> None:
    """Soak a bridge."""
    soaked = asyncio.run(soak(calls, at_once=at_once, longest_s=longest, seed=seed, tell=click.echo))
    click.echo(f"{calls} calls in {soaked.seconds:.0f} s: {dict(soaked.seen.most_common())}")
    click.echo(f"left to the collector: {soaked.garbage / calls:.1f} objects of each call")
    click.echo(f"tasks at the end: {soaked.tasks}")
    for wrong in soaked.wrong[:50]:
        click.echo(f"WRONG {wrong}")
    sys.exit(1 if soaked.wrong else 0)


if __name__ == "__main__":
    main()
