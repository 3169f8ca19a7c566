"""The command `phone-bridge calls audit`: who heard, took away or erased what of which call."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.process import OK, run

if TYPE_CHECKING:
    from bridge.settings import Settings


@click.command(short_help="Tell who heard, exported or erased what.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of settings. [default: as serve]",
)
@click.option("--call", "call_id", metavar="CALL", help="Of this call; also one that is erased.")
@click.option("--who", help="Done by: the name of a token, `local`, `command line`, `retention` …")
@click.option("--what", help="Such as recording_read, recording_exported, listened, call_erased.")
@click.option("--since", metavar="TIME", help="Then or later: 2026-03-01, 2026-03-01T12:00, 3h, 2d … in UTC.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")
@click.pass_obj
def audit(debug: bool, /, config: Path | None, since: str | None, limit: int, as_json: bool, **wanted: Any) -> int:
    """Tell who heard, exported or erased what of which call, what was done last first."""
    from bridge.log import configure_logging  # noqa: PLC0415  (help texts come without it)
    from bridge.reading.moments import moment  # noqa: PLC0415
    from bridge.settings.source import load_settings  # noqa: PLC0415

    settings = load_settings(config, overrides={"log": {"level": "debug" if debug else "warning"}})
    configure_logging(settings)
    since_ms = None if since is None else moment(since, datetime.now(UTC), option="--since")
    return run(_audit(settings, limit, since_ms, wanted, as_json=as_json))


async def _audit(
    settings: Settings, limit: int, since_ms: int | None, wanted: dict[str, str | None], *, as_json: bool
) -> int:
    from bridge.store.sql.audit import Audit  # noqa: PLC0415  (as above)
    from bridge.store.sql.database import Database  # noqa: PLC0415

    folder = settings.store.recordings
    database = Database(settings.store.url, folder)
    lines: list[dict[str, Any]] = []
    if database.file is None or await asyncio.to_thread(database.file.exists):
        try:
            await database.open()
            lines = await Audit(database, folder).read(limit, since_ms=since_ms, **wanted)
        finally:
            await database.close()
    if as_json:
        click.echo(json.dumps([{**line, "at": _time(line["at"])} for line in lines], indent=2, ensure_ascii=False))
        return OK
    for line in lines:
        what = f"{line['what']}  {line['call_id']}".rstrip()
        told = "".join(one if one.isprintable() else "?" for one in f"{line['who']}  {what}  {line['detail']}")
        click.echo(f"{_time(line['at'])}  {told}".rstrip())
    if not lines:
        click.echo("nothing like that was done", err=True)
    return OK


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
