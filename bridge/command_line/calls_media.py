"""The commands `phone-bridge calls picture` and `calls retranscribe`: what is made of a kept call once more."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.errors import BridgeError, SettingsError, StoreError, system_reason
from bridge.process import OK, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.reading.kept import Kept
    from bridge.settings import Settings
    from bridge.store.loudness import Peaks
    from bridge.store.retranscribe import Side, Transcription
    from bridge.store.sql.call_rows import CallRow
    from bridge.store.vault import Keys, Recording

_CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of settings. [default: as serve]",
)


@click.command(short_help="Draw a call: who spoke when, what was heard, how fast it went.")
@_CONFIG
@click.argument("call")
@click.option(
    "--format",
    "form",
    type=click.Choice(["svg", "png"]),
    help="What to draw. [default: as the file's name ends, else svg]",
)
@click.option("--output", "-o", metavar="FILE", help="Where to; - is standard output. [default: CALL.svg or .png]")
@click.pass_obj
def picture(debug: bool, /, config: Path | None, call: str, form: str | None, output: str | None) -> int:
    """Draw CALL: both sides along the time, what was cut off and not heard, and how each answer came about."""
    ending = Path(output or "").suffix.lower().removeprefix(".")
    if form is None:
        form = ending if ending in {"svg", "png"} else "svg"
    return run(_picture(_settings(debug, config), call, form, output))


@click.command(short_help="Make text of a recording once more, and tell what differs.")
@_CONFIG
@click.argument("call")
@click.option("--model", help="Model of the speech service's batch endpoint. [default: ink-whisper]")
@click.pass_obj
def retranscribe(debug: bool, /, config: Path | None, call: str, model: str | None) -> int:
    """Send both sides of CALL's recording to the speech service, as files, and compare with the live transcript.

    What comes back is kept beside the live transcript, which stays as it is.
    """
    return run(_retranscribe(_settings(debug, config), call, model))


# --- the work ----------------------------------------------------------------------------------------------


async def _picture(settings: Settings, call: str, form: str, output: str | None) -> int:
    from bridge.reading.kept import opened  # noqa: PLC0415  (help texts come without it)
    from bridge.store import picture as drawing  # noqa: PLC0415
    from bridge.store.call_folders import folder_of  # noqa: PLC0415

    async with opened(settings, _tell) as kept:
        found = (await kept.one(call)).call
        header, entries = await kept.journal(found)
    folder = folder_of(settings.store.recordings, found.folder)
    peaks = await asyncio.to_thread(_peaks, folder, _keys(settings))
    svg = await asyncio.to_thread(drawing.svg, header, entries, peaks, live=found.state == "live")
    made = svg.encode() if form == "svg" else await asyncio.to_thread(drawing.png, svg)
    if output == "-":
        sys.stdout.buffer.write(made)
        return OK
    file = Path(output or f"{found.id}.{form}")
    try:
        await asyncio.to_thread(file.write_bytes, made)
    except OSError as error:
        raise SettingsError(f"cannot write {file}: {system_reason(error)}. Choose another place with -o") from None
    _tell(f"wrote {file}")
    return OK


def _peaks(folder: Path, keys: Keys) -> Peaks | None:
    from bridge.store.folder import RECORDING  # noqa: PLC0415  (as above)
    from bridge.store.recordings import read_peaks  # noqa: PLC0415

    try:
        return read_peaks(folder / RECORDING, keys)
    except FileNotFoundError:
        return None
    except (OSError, BridgeError) as error:
        said = error.message if isinstance(error, BridgeError) else system_reason(error)
        _tell(f"warning: {said}; the picture is drawn without the sound")
        return None


async def _retranscribe(settings: Settings, call: str, model: str | None) -> int:
    from bridge.reading.kept import opened  # noqa: PLC0415
    from bridge.speech.adapters import batch  # noqa: PLC0415
    from bridge.speech.local import open_speech  # noqa: PLC0415  (as above)
    from bridge.store.retranscribe import retranscribe as listen_again  # noqa: PLC0415

    async with contextlib.AsyncExitStack() as stack:
        kept = await stack.enter_async_context(opened(settings, _tell))
        found = (await kept.one(call)).call
        header, entries = await kept.journal(found)
        recording = stack.enter_context(await asyncio.to_thread(partial(_recording, settings, found)))
        # It goes to a service that hears it: that is noted before it is done.
        await kept.audit.write("command line", "recording_read", found.id, "transcribed again")
        speech = batch(settings, await open_speech(settings, stack), model)
        stack.push_async_callback(speech.close)
        made = await listen_again(recording, header, entries, speech, told=_progress(recording.frames // 8))
        await _keep(kept, found, made)
    for one in made:
        _show(one)
    return OK


def _recording(settings: Settings, call: CallRow) -> Recording:
    from bridge.store.call_folders import folder_of  # noqa: PLC0415  (as above)
    from bridge.store.vault import open_recording  # noqa: PLC0415

    try:
        return open_recording(folder_of(settings.store.recordings, call.folder), _keys(settings))
    except FileNotFoundError:
        raise BridgeError(
            f"call {call.id} has no recording: see numbers.recording and store.record_audio of the settings",
            code="recording_missing",
        ) from None


async def _keep(kept: Kept, call: CallRow, made: Sequence[Transcription]) -> None:
    from bridge.store.sql.transcriptions import Transcriptions  # noqa: PLC0415  (as above)

    if kept.database is None:
        _tell("warning: the database does not answer, so this is only shown and not kept")
        return
    try:
        await Transcriptions(kept.database).keep(call.id, made)
    except StoreError as error:
        _tell(f"warning: this is only shown and not kept: {error.message}")


def _progress(length_ms: int) -> Callable[[Side, int], None]:
    def told(side: Side, at_ms: int) -> None:
        if length_ms > 60_000:
            _tell(f"{side}: {at_ms * 100 // max(1, length_ms)} %")

    return told


def _show(made: Transcription) -> None:
    """What one side said, and where that differs."""
    from bridge.reading.shown import counted, printable  # noqa: PLC0415  (as above)
    from bridge.store.differences import changed_words  # noqa: PLC0415

    changed = changed_words(made.differences)
    words = max((one.live[1] for one in made.differences), default=0)
    click.echo(f"{made.side} ({made.model}): {counted(changed, 'word')} of {words} differ from the live transcript")
    click.echo(f"  {printable(made.text.strip()) or '(nothing was said)'}")
    for one in made.differences:
        match one.kind:
            case "insert":
                click.echo(f"  + {printable(one.new_text)}")
            case "delete":
                click.echo(f"  - {printable(one.live_text)}")
            case "replace":
                click.echo(f"  - {printable(one.live_text)}  + {printable(one.new_text)}")
            case _:
                pass


def _keys(settings: Settings) -> Keys:
    from bridge.store.vault import Keys  # noqa: PLC0415  (as above)

    store = settings.store
    return Keys.read(
        store.encryption_key.get_secret_value(), [key.get_secret_value() for key in store.old_encryption_keys]
    )


def _settings(debug: bool, config: Path | None) -> Settings:
    from bridge.log import configure_logging  # noqa: PLC0415  (as above)
    from bridge.settings.source import load_settings  # noqa: PLC0415

    settings = load_settings(config, overrides={"log": {"level": "debug" if debug else "warning"}})
    configure_logging(settings)
    return settings


def _tell(text: str) -> None:
    """What is not the answer itself: on standard error."""
    click.echo(text, err=True)
