"""The commands `phone-bridge calls …`: the record of calls in the terminal."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bridge.errors import SettingsError
from bridge.process import FAILED, OK, run

if TYPE_CHECKING:
    from bridge.reading.kept import Kept
    from bridge.settings import Settings
    from bridge.store.sql.call_filter import CallFilter
    from bridge.store.sql.call_rows import CallRow
    from bridge.store.sql.erasing import Elsewhere

F = TypeVar("F", bound=Callable[..., Any])

_FORMATS = ("text", "json", "jsonl", "csv", "vtt", "srt", "journal", "wav", "opus", "mp3", "bundle")

_SHOWN = 10
"""Calls that are shown before they are erased."""

_CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of settings. [default: as serve]",
)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")


def _filters(command: F) -> F:
    """The options that say which calls."""
    for option in reversed(
        (
            click.option("--number", help="Of anybody in the call: whole with +, or a part of it."),
            click.option("--caller", metavar="NUMBER", help="Who called."),
            click.option("--called", metavar="NUMBER", help="The number that was called."),
            click.option("--direction", type=click.Choice(["inbound", "outbound"])),
            click.option("--agent", "agent_kind", metavar="KIND", help="What answered: webhook, flow, log …"),
            click.option(
                "--since", metavar="TIME", help="Began then or later: 2026-03-01, 2026-03-01T12:00, 3h, 2d …"
            ),
            click.option("--until", metavar="TIME", help="Began earlier. Times are UTC."),
            click.option("--ended", metavar="REASON", help="How it ended: caller, agent, transfer, limit, error …"),
            click.option("--live/--over", default=None, help="That go on, or are over."),
            click.option("--interrupted/--uninterrupted", default=None, help="Where the caller cut the agent off."),
        )
    ):
        command = option(command)
    return command


@click.group(short_help="List, read, search, export and delete kept calls.")
def calls() -> None:
    """List, read, search, export and delete the calls that are kept, also while a bridge runs.

    A call is named by its id, by the beginning of it, or by `last`.
    """


@calls.command("list", short_help="List calls, newest first.")
@_CONFIG
@_filters
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="At most so many; 0: all.")
@_AS_JSON
@click.pass_obj
def list_(debug: bool, /, config: Path | None, limit: int, as_json: bool, **options: Any) -> int:
    """List calls, newest first."""
    return run(_list(_settings(debug, config), _wanted(options), limit or None, as_json=as_json))


@calls.command(short_help="Show one call: who said what and when.")
@_CONFIG
@click.argument("call")
@_AS_JSON
@click.pass_obj
def show(debug: bool, /, config: Path | None, call: str, as_json: bool) -> int:
    """Show CALL: who said what and when, what was done, and how it ended."""
    return run(_show(_settings(debug, config), call, as_json=as_json))


@calls.command(short_help="Find what was said.")
@_CONFIG
@click.argument("text", nargs=-1, required=True)
@_filters
@click.option("--speaker", type=click.Choice(["caller", "agent", "callee"]), help="Who said it.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="At most so many turns.")
@_AS_JSON
@click.pass_obj
def search(
    debug: bool, /, config: Path | None, text: tuple[str, ...], limit: int, as_json: bool, **options: Any
) -> int:
    """Find turns that hold all the words of TEXT; the newest come first.

    "several words" in quotes follow each other, -word must not be there, OR stands between alternatives, and word*
    is the beginning of a word; put the whole in single quotes for the shell, and -- before a text that begins with
    a hyphen. Case and accents make no difference.

    Exit code 0 if something was found, else 1.
    """
    return run(_search(_settings(debug, config), " ".join(text), _wanted(options), limit, as_json=as_json))


@calls.command(short_help="Write calls out: transcripts, subtitles, recordings, bundles.")
@_CONFIG
@click.argument("call_ids", metavar="[CALL]...", nargs=-1)
@_filters
@click.option("--all", "all_calls", is_flag=True, help="Every call.")
@click.option(
    "--format", "name", type=click.Choice(_FORMATS), default="text", show_default=True, help="What to write."
)
@click.option(
    "--output",
    "-o",
    metavar="FILE|FOLDER/",
    help="Where to: a file, or a folder for a file of each call. [default: standard output]",
)
@click.pass_obj
def export(
    debug: bool,
    /,
    config: Path | None,
    call_ids: tuple[str, ...],
    name: str,
    output: str | None,
    all_calls: bool,
    **options: Any,
) -> int:
    """Write out the CALLs that are named, or those that the filters let through.

    text, json, jsonl, csv: transcripts, of which several make one file; vtt, srt: subtitles for the recording;
    wav, opus, mp3: the recording, left the caller, right what the caller heard; journal: what happened, entry by
    entry; bundle: a ZIP of all of it. In csv, a text that a spreadsheet would take for a formula has an apostrophe
    in front.
    """
    wanted = _wanted(options)
    _check_chosen("export", call_ids, options, all_calls=all_calls)
    return run(_export(_settings(debug, config), call_ids, wanted, name, None if output == "-" else output))


@calls.command(short_help="Erase calls for good.")
@_CONFIG
@click.argument("call_ids", metavar="[CALL]...", nargs=-1)
@_filters
@click.option("--all", "all_calls", is_flag=True, help="Every call.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@_AS_JSON
@click.pass_obj
def delete(
    debug: bool,
    /,
    config: Path | None,
    call_ids: tuple[str, ...],
    all_calls: bool,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Erase the CALLs that are named, or those that the filters let through: files, rows, and what waits of them.

    Numbers must be given as a whole here. A line in the audit says that it was done. Calls that go on are left.

    Exit code 0 if everything was erased, else 1.
    """
    wanted = _wanted(options)
    _check_chosen("erase", call_ids, options, all_calls=all_calls)
    for name in ("number", "caller", "called"):
        if (given := options[name]) is not None and not wanted.is_whole(given):
            raise SettingsError(f"--{name} is {given!r}: to erase, give the whole number, with its +")
    from bridge.assembly.keeping import elsewhere  # noqa: PLC0415  (help texts come without it)

    settings = _settings(debug, config)
    return run(_delete(settings, call_ids, wanted, elsewhere(settings), ask=not yes, as_json=as_json))


def _check_chosen(what: str, call_ids: tuple[str, ...], options: dict[str, Any], *, all_calls: bool) -> None:
    """Raise SettingsError unless calls are chosen, and in one way."""
    filtered = any(value is not None for value in options.values())
    if not (call_ids or filtered or all_calls):
        raise SettingsError(f"nothing to {what}: name calls, or filters such as --since 2d, or --all")
    if call_ids and (filtered or all_calls):
        raise SettingsError("name either calls or filters, not both")


# --- The work ---


async def _list(settings: Settings, wanted: CallFilter, most: int | None, *, as_json: bool) -> int:
    from bridge.reading import shown  # noqa: PLC0415  (help texts come without it)
    from bridge.reading.kept import opened  # noqa: PLC0415

    async with opened(settings, _tell) as kept:
        rows = [row async for row in kept.all(wanted, None if most is None else most + 1)]
    given = rows[:most]
    if as_json:
        _print_json([shown.call_json(row) for row in given])
    elif not rows:
        nothing = wanted == type(wanted)()
        said = f"no calls are kept in {settings.store.recordings} yet" if nothing else "no call is like that"
        _tell(f"{said}: place one with  phone-bridge demo" if nothing else said)
    else:
        for line in shown.call_table(given):
            click.echo(line)
        if len(rows) > len(given):
            _tell(f"there are more: --limit 0 shows all, --limit {2 * len(given)} twice as many")
    return OK


async def _show(settings: Settings, call: str, *, as_json: bool) -> int:
    from bridge.reading import shown  # noqa: PLC0415  (as above)
    from bridge.reading.kept import opened  # noqa: PLC0415

    async with opened(settings, _tell) as kept:
        detail = await kept.one(call)
        if as_json:
            _print_json(shown.detail_json(detail))
            return OK
        header, entries = await kept.journal(detail.call)
    text = shown.call_text(detail, header, entries, str(settings.store.recordings / detail.call.folder))
    click.echo("\n".join(shown.printable(line) for line in text.split("\n")))
    return OK


async def _search(settings: Settings, text: str, wanted: CallFilter, limit: int, *, as_json: bool) -> int:
    from bridge.reading import shown  # noqa: PLC0415  (as above)
    from bridge.reading.kept import opened  # noqa: PLC0415
    from bridge.store.sql.search_query import parse_query  # noqa: PLC0415

    if not parse_query(text):
        raise SettingsError(f"{text!r} holds no word to look for: name at least one that must be there")
    async with opened(settings, _tell) as kept:
        page = await kept.calls.search(text, wanted, None, limit)
    if as_json:
        _print_json([shown.hit_json(hit) for hit in page.items])
    for line in shown.found_lines(() if as_json else page.items):
        click.echo(line)
    if not page.items:
        _tell("nothing was found")
    elif page.next is not None:
        _tell(f"there is more: these are the newest {limit} turns")
    return OK if page.items else FAILED


async def _export(
    settings: Settings, call_ids: tuple[str, ...], wanted: CallFilter, name: str, output: str | None
) -> int:
    from bridge.reading.exporting import Export, export  # noqa: PLC0415  (as above)
    from bridge.reading.kept import opened  # noqa: PLC0415
    from bridge.reading.shown import counted  # noqa: PLC0415
    from bridge.store.vault import Keys  # noqa: PLC0415

    store = settings.store
    keys = Keys.read(
        store.encryption_key.get_secret_value(), [key.get_secret_value() for key in store.old_encryption_keys]
    )
    order = Export(name, output, several=len(call_ids) != 1, keys=keys)
    order.check()
    async with opened(settings, _tell) as kept:
        done, failed = await export(kept, _chosen(kept, call_ids, wanted), order, _tell)
    if order.several or output is not None:
        _tell(f"exported: {counted(done, 'call')}" + (f"; not exported: {failed}" if failed else ""))
    return FAILED if failed else OK


async def _delete(
    settings: Settings,
    call_ids: tuple[str, ...],
    wanted: CallFilter,
    elsewhere: Sequence[Elsewhere],
    *,
    ask: bool,
    as_json: bool,
) -> int:
    from bridge.reading import erasing, shown  # noqa: PLC0415  (as above)
    from bridge.reading.kept import opened  # noqa: PLC0415

    async with opened(settings, _tell) as kept:
        chosen = [call async for call in _chosen(kept, call_ids, wanted)]
        if chosen and ask and not await asyncio.to_thread(_confirmed, chosen):
            _tell("nothing was erased")
            return FAILED
        done = await erasing.erase(kept, chosen, elsewhere, _tell)
    if as_json:
        _print_json(done)
    else:
        _tell(f"erased: {shown.counted(len(done['erased']), 'call')}, {shown.counted(done['files'], 'file')}")
    return FAILED if done["live"] or done["left"] else OK


def _confirmed(chosen: list[CallRow]) -> bool:
    from bridge.reading import shown  # noqa: PLC0415  (as above)

    if not sys.stdin.isatty():
        raise SettingsError("erasing asks first, and nobody can answer here: give --yes")
    for line in shown.call_table(chosen[:_SHOWN]):
        click.echo(line, err=True)
    if len(chosen) > _SHOWN:
        _tell(f"… and {len(chosen) - _SHOWN} more")
    return click.confirm(f"Erase {shown.counted(len(chosen), 'call')} for good?", err=True)


async def _chosen(kept: Kept, call_ids: tuple[str, ...], wanted: CallFilter) -> AsyncIterator[CallRow]:
    """The calls that are named, each once, or those that are wanted."""
    if call_ids:
        found = {detail.call.id: detail.call for detail in [await kept.one(call) for call in call_ids]}
        for call in found.values():
            yield call
        return
    async for call in kept.all(wanted):
        yield call


def _settings(debug: bool, config: Path | None) -> Settings:
    from bridge.log import configure_logging  # noqa: PLC0415  (as above)
    from bridge.settings.source import load_settings  # noqa: PLC0415

    settings = load_settings(config, overrides={"log": {"level": "debug" if debug else "warning"}})
    configure_logging(settings)
    if not debug:
        # What the database does not do is told in a sentence.
        logging.getLogger("bridge.store.sql.database").setLevel(logging.CRITICAL)
    return settings


def _wanted(options: dict[str, Any]) -> CallFilter:
    """The filter that the options say. Raises SettingsError."""
    from bridge.reading.moments import moment  # noqa: PLC0415  (as above)
    from bridge.store.sql.call_filter import CallFilter  # noqa: PLC0415

    now = datetime.now(UTC)
    rest = {name: value for name, value in options.items() if name not in {"since", "until"}}
    since, until = (
        None if options[name] is None else moment(options[name], now, option=f"--{name}")
        for name in ("since", "until")
    )
    return CallFilter(**rest, since_ms=since, until_ms=until)


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _tell(text: str) -> None:
    """What is not the answer itself: on standard error."""
    click.echo(text, err=True)
