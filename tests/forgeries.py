"""What comes of whatever a stranger sends to Twilio's addresses, as a table, from a bridge that runs.

`python -m tests.forgeries` sends what `tests/twilio/forgeries.py` lists: forged, mutated, replayed and old requests
to each webhook that the router has, and to the media stream. Each cell is the status, and the reason under which it
was counted. Ends with 1 where something else came than must.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import click
import structlog

from tests.twilio.forgeries import OLD, STREAMS, WEBHOOKS, attempts, retired, stream_attempts, try_webhook, world


async def tried(folder: Path) -> tuple[dict[str, dict[str, set[str]]], list[str]]:
    """Send everything. Returns what came of it, by kind and address, and what should not have come."""
    cells: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    wrong = []
    async with world(folder, BRIDGE_TWILIO__OLD_AUTH_TOKENS=OLD) as it:
        addresses = [*it.webhooks, *it.streams]
        for attempt in [one for path in it.webhooks for one in attempts(it, path)]:
            path, came = attempt.path.partition("?")[0], await try_webhook(it, attempt)
            cells[attempt.kind][path].add(str(came))
            wrong += [] if came in WEBHOOKS[attempt.kind] else [f"{attempt.kind} at {path}: {came}"]
        async for kind, came in stream_attempts(it):
            cells[kind][it.streams[0]].add(str(came))
            wrong += [] if came == STREAMS[kind] else [f"{kind} at {it.streams[0]}: {came}"]
        for attempt in retired(it):
            came = await try_webhook(it, attempt)
            cells[attempt.kind][attempt.path].add(str(came))
            wrong += [] if came in WEBHOOKS[attempt.kind] else [f"{attempt.kind} at {attempt.path}: {came}"]
    for by_address in cells.values():
        for address in addresses:
            by_address[address] |= set() if by_address[address] else {"does not exist there"}
    return cells, wrong


def shown(cells: dict[str, dict[str, set[str]]]) -> str:
    """Return the table, in Markdown: a row for each kind, a column for each outcome and its addresses."""
    lines = ["| what is sent | what comes of it | at |", "|---|---|---|"]
    for kind, by_address in cells.items():
        grouped: dict[str, list[str]] = defaultdict(list)
        for address, came in by_address.items():
            grouped[", ".join(sorted(came))].append(address.removeprefix("/twilio/"))
        lines += [f"| {kind} | {came} | {', '.join(addresses)} |" for came, addresses in grouped.items()]
    return "\n".join(lines)


@click.command()
def main() -> None:
    """Try everything, and print the table."""
    # The bridge tells of each in its log, in this process.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        cells, wrong = asyncio.run(tried(Path(folder)))
    click.echo(shown(cells))
    for text in wrong:
        click.echo(f"WRONG: {text}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
