"""What `doctor` looks at on this machine: interpreter, settings, folder, token, local speech."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Literal, TypeAlias

from bridge.assembly.profiles import answering_from, recording_of
from bridge.errors import BridgeError, MissingExtraError, SettingsError
from bridge.listener.exposure import check_exposure
from bridge.settings import Settings
from bridge.settings.calls import NumberSettings
from bridge.settings.source import overlooked_file
from bridge.spans import wanted
from bridge.store.folder_lock import described, holder

Status: TypeAlias = Literal["ok", "warning", "failed"]

_TRIED_BYTES = 64 * 1024
LOW_DISK_BYTES = 1_000_000_000
RECORDING_BYTES_PER_HOUR = 16_000 * 3600
"""A stereo recording: two channels of mu-law at 8000 Hz."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    """What was looked at, in a word or two."""
    status: Status
    message: str
    """What was seen."""
    remedy: str = ""
    """What to do about it; empty when all is well."""


def check_python() -> Finding:
    """The interpreter, and which extras are installed."""
    extras = {
        "local": "moonshine_voice",
        "whisper": "faster_whisper",
        "piper": "piper",
        "speed": "uvloop",
        "postgres": "asyncpg",
        "nats": "nats",
        "encryption": "cryptography",
        "formats": "av",
        "otel": "opentelemetry",
    }
    there = [name for name, module in extras.items() if find_spec(module)]
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"Python {version}; extras: {', '.join(there) or 'none'}")


def check_settings() -> Finding:
    """What is given but has no effect."""
    if overlooked := overlooked_file():
        return Finding("settings", "warning", overlooked, "take it out, or know that it waits")
    return Finding("settings", "ok", "every setting is understood")


def check_numbers(settings: Settings) -> list[Finding]:
    """What becomes of a call to each number of the settings at this moment."""
    return [_number(entry, settings.for_number(entry.number)) for entry in settings.numbers]


def _number(entry: NumberSettings, own: Settings) -> Finding:
    check = f"number {entry.number}"
    answering = answering_from(own, entry)
    said = [f"announced with {answering.said_first!r}"] if answering.said_first else []
    recording = recording_of(own, entry)
    if recording != "on":
        said.append("not recorded" if recording == "off" else "not recorded until that is resumed")
    if entry.mode == "log":
        said.append(f"connected with {entry.forward_to}, and both sides are transcribed")
        if any(value is not None for _, value in entry.agent):
            remedy = "take agent out, or set mode to agent"
            return Finding(check, "warning", "mode log asks no agent: its agent settings have no effect", remedy)
    else:
        kind = own.agent.kind
        said.append("only transcribed" if kind == "none" else f"answered by the {kind} agent")
    if entry.hours is None:
        return Finding(check, "ok", f"calls are {', then '.join(said)}, at all times")
    if entry.hours.parsed().open_at(datetime.now(UTC)):
        return Finding(check, "ok", f"calls are {', then '.join(said)}; it is open now")
    to = entry.hours.closed_forward_to
    then = f"passed on to {to}" if to else "hung up on"
    return Finding(check, "ok", f"it is closed now, so callers are told so and {then}; else {', then '.join(said)}")


def check_folder(settings: Settings) -> Finding:
    """Whether recordings can be written, and how much of them."""
    folder = settings.store.recordings.absolute()
    # The folder is made with the first call; until then it is the one above it that counts.
    place = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place, buffering=0) as file:
            file.write(bytes(_TRIED_BYTES))  # A full disk still lets files be made.
    except OSError as error:
        remedy = "make it writable, or name another folder in store.recordings (BRIDGE_STORE__RECORDINGS)"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            remedy = (
                "make room: calls are taken, and nothing of them is kept (store.retention_days erases old ones)"
            )
        return Finding("recordings", "failed", f"cannot write to {folder}: {error.strerror or error}", remedy)
    free = shutil.disk_usage(place).free
    hours = free // RECORDING_BYTES_PER_HOUR
    message = f"{folder} is writable; {free / 1e9:.1f} GB are free, room for {hours} hours of calls"
    if free < LOW_DISK_BYTES:
        return Finding("recordings", "warning", message, "make room, or name another folder in store.recordings")
    try:
        by = holder(folder)
    except OSError as error:
        said = f"{message}; the file system knows no locks ({error.strerror or error})"
        return Finding("recordings", "warning", said, "see to it that no other bridge has the same folder")
    if by is None:
        return Finding("recordings", "ok", message)
    message = f"{message}; a bridge keeps its calls there ({described(by)})"
    if settings.server.node and by.get("node") != settings.server.node:
        remedy = "stop that one, or give this one another folder in store.recordings (BRIDGE_STORE__RECORDINGS)"
        return Finding("recordings", "failed", message, remedy)
    return Finding("recordings", "ok", message)


def check_traces() -> list[Finding]:
    """Whether traces can be sent, if they are to be."""
    if not wanted(os.environ):
        return []
    if find_spec("opentelemetry") is None:
        missing = MissingExtraError("otel", "OTEL_EXPORTER_OTLP_ENDPOINT, which asks for traces,")
        return [Finding("traces", "failed", missing.message, "install it, or take the variable out")]
    return [Finding("traces", "ok", "they are sent where the environment says (OTEL_EXPORTER_OTLP_ENDPOINT)")]


def check_token(settings: Settings) -> Finding:
    """Whether Twilio's requests can be told from forged ones."""
    try:
        check_exposure(settings)
    except SettingsError as error:
        return Finding("auth token", "failed", error.message, "as it says: the bridge does not start like this")
    if not settings.twilio.validate_requests:
        message = "twilio.validate is false: whoever knows the address can place calls"
        return Finding("auth token", "warning", message, "set twilio.validate to true, except in a closed test")
    if settings.twilio.auth_token.get_secret_value():
        return Finding("auth token", "ok", "requests are checked with the auth token of the settings")
    return Finding("auth token", "ok", "requests are checked with this machine's own token: simulated calls only")


def check_local_speech() -> list[Finding]:
    """Whether the local models load. Blocks for some seconds."""
    check = "local speech"
    began = time.monotonic()
    try:
        # The modules themselves need numpy, which comes with the extra.
        from bridge.speech_server.engine import (  # noqa: PLC0415  (see above)
            load_detector,
            load_recognizer,
            load_voice_engine,
        )

        recognizer, voice = load_recognizer("moonshine"), load_voice_engine("nanotts")
        load_detector(8000)
    except (MissingExtraError, ImportError) as error:
        remedy = "run  pip install 'phone-bridge[local]'  or set speech.api_key (BRIDGE_SPEECH__API_KEY)"
        return [Finding(check, "failed", f"it is not installed: {error}", remedy)]
    except BridgeError as error:
        remedy = "run  pip install --force-reinstall 'phone-bridge[local]'"
        return [Finding(check, "failed", error.message, remedy)]
    took = time.monotonic() - began
    return [Finding(check, "ok", f"{recognizer.name} and {voice.name} were loaded in {took:.1f} s")]
