"""Sounds that are played into a call: WAV files by URL or path, and keys as tones.

`Sounds` is there once per process: it converts and keeps what `sound_sources` brings. A `SoundPlayer` belongs to
one call and reports what it plays as a voice does: audio, then the end or a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from bridge.audio import dtmf, wav
from bridge.audio.beep import beep
from bridge.audio.codec import BYTES_PER_MS
from bridge.call.sound_sources import Origin, SoundError, Stamp, Web, read_file, shown_source
from bridge.conversation.events import SpeechArrived, SpeechFailed, SpeechFinished
from bridge.errors import SettingsError
from bridge.tasks import spawn

SoundEvent: TypeAlias = SpeechArrived | SpeechFinished | SpeechFailed
EmitSound: TypeAlias = Callable[[SoundEvent], None]

MAX_SECONDS: Final = 600
"""The longest sound, and the longest that all its repetitions may take."""
MAX_LOOPS: Final = 1000
MAX_DIGITS: Final = 500
BEEP: Final = "beep:"
"""A sound that is always there: the tone before a message."""

_PIECE_BYTES: Final = 500 * BYTES_PER_MS
_PIECES_AT_ONCE: Final = 20
"""How many pieces are emitted before other calls have their turn."""
_AHEAD_S: Final = 10.0
"""So much of a sound is emitted at once, and the rest as it would sound: one that is long would fill the memory."""
_SOUNDS_AT_ONCE: Final = 8
"""Of one call. Those behind wait until one of these is emitted: an agent may ask for hundreds."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A sound in the cache."""

    audio: bytes
    stamp: Stamp | None = None
    """Of a file."""
    origin: Origin | None = None
    """Of what came over the web."""
    fresh_until: float = 0.0
    """Until when (of the loop's clock) it is played without asking its server."""


class Sounds:
    """Fetches sounds, converts them into what a phone plays, and keeps those last used."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        allow_private: bool = False,
        connect_seconds: float = 3.0,
        total_seconds: float = 10.0,
        fresh_seconds: float = 60.0,
        cache_bytes: int = 32 * 2**20,
    ) -> None:
        """`folder` holds the sounds that are named by path; None: there are none.

        `allow_private` lets URLs lead into private networks. A sound must be there within `total_seconds`; one that
        was fetched is played for `fresh_seconds` without asking its server again, unless the server forbids that.
        """
        self._folder = folder
        self._web = Web(allow_private=allow_private, connect_seconds=connect_seconds, total_seconds=total_seconds)
        self._fresh_seconds = fresh_seconds
        self._cache_bytes = cache_bytes
        self._kept: dict[str, _Kept] = {}  # The one last used is the last.
        self._converting = asyncio.Semaphore(1)  # Two at once would leave no core to the calls.

    def open(self, emit: EmitSound, *, name: str) -> SoundPlayer:
        """Return the player of one call; `name` is the call's, for the log."""
        return SoundPlayer(self, emit, name)

    async def load(self, source: str) -> bytes:
        """Return a sound as mu-law at 8000 Hz, mono: never empty.

        `source` is an http(s) URL, a path below the folder, or `BEEP`. Cancelling closes the connection. Raises
        `SoundError`.
        """
        if source == BEEP:
            return beep()
        known = self._kept.get(source)
        kept = await (self._from_web(source, known) if "://" in source else self._from_file(source, known))
        self._keep(source, kept)
        return kept.audio

    async def close(self) -> None:
        """Close the connections; what is being fetched fails."""
        await self._web.close()

    async def _from_file(self, source: str, known: _Kept | None) -> _Kept:
        if self._folder is None:
            raise SoundError(
                f"cannot play {source!r}: there is no sounds folder; set one, or give an http(s) URL",
                code="sound_refused",
            )
        stamp, file = await asyncio.to_thread(read_file, self._folder, source, known.stamp if known else None)
        if known is not None and file is None:
            return known
        return _Kept(await self._convert(file or b"", source), stamp=stamp)

    async def _from_web(self, source: str, known: _Kept | None) -> _Kept:
        now = asyncio.get_running_loop().time
        if known is not None and now() < known.fresh_until:
            return known
        fetched = await self._web.fetch(source, known.origin if known else None)
        fresh_until = 0.0 if fetched.origin.must_ask else now() + self._fresh_seconds
        if known is not None and fetched.file is None:
            return replace(known, fresh_until=fresh_until)
        audio = await self._convert(fetched.file or b"", shown_source(source), fetched.content_type)
        return _Kept(audio, origin=fetched.origin, fresh_until=fresh_until)

    async def _convert(self, file: bytes, name: str, content_type: str = "") -> bytes:
        async with self._converting:
            return await asyncio.to_thread(_to_mulaw, file, name, content_type)

    def _keep(self, source: str, kept: _Kept) -> None:
        self._kept.pop(source, None)
        if kept.origin is not None and not kept.origin.may_keep:
            return
        self._kept[source] = kept
        excess = sum(len(one.audio) for one in self._kept.values()) - self._cache_bytes
        for oldest in [*self._kept]:
            if excess <= 0:
                break
            excess -= len(self._kept.pop(oldest).audio)


class SoundPlayer:
    """Plays sounds into one call.

    Every utterance ends in exactly one `SpeechFinished` or `SpeechFailed`, unless it is cancelled. Nothing is
    emitted before the next round of the event loop.
    """

    def __init__(self, sounds: Sounds, emit: EmitSound, name: str) -> None:
        self._sounds = sounds
        self._emit = emit
        self._name = name
        self._open: dict[int, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_SOUNDS_AT_ONCE)
        self._closed = False

    def play(self, utterance: int, source: str, loop: int = 1) -> None:
        """Play a sound `loop` times; 0: up to `MAX_LOOPS` times. It is repeated whole, for `MAX_SECONDS` at most.

        `source` as for `Sounds.load`. Never waits and never raises: failures arrive as `SpeechFailed`, with the
        codes of `SoundError`.
        """
        self._begin(utterance, partial(self._sounds.load, source), MAX_LOOPS if loop == 0 else loop, source)

    def tones(self, utterance: int, digits: str) -> None:
        """Play keys as tones, `MAX_DIGITS` at most; see `dtmf.tones`. Never waits and never raises."""
        self._begin(utterance, partial(_tones, digits), 1, "digits")

    def cancel(self, utterance: int) -> None:
        """Stop an utterance: nothing is emitted for it any more, and what is being fetched for it is given up."""
        if (task := self._open.pop(utterance, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Cancel every open utterance, and return when their connections are closed."""
        self._closed = True
        tasks = [*self._open.values()]
        for utterance in [*self._open]:
            self.cancel(utterance)
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, utterance: int, load: Callable[[], Awaitable[bytes]], loops: int, source: str) -> None:
        if not self._closed and utterance not in self._open:
            work = self._play(utterance, load, loops, source)
            self._open[utterance] = spawn(work, name=f"sound-{self._name}-{utterance}")

    async def _play(self, utterance: int, load: Callable[[], Awaitable[bytes]], loops: int, source: str) -> None:
        try:
            async with self._turns:
                await self._send(utterance, await load(), loops)
        except SoundError as error:
            self._fail(utterance, error, source)
        except Exception as error:
            # A bug, which the task's end logs: even so, the call must not wait for this sound for ever.
            self._fail(utterance, SoundError(f"the sound failed: {error!r}", code="sound_format"), source)
            raise

    async def _send(self, utterance: int, audio: bytes, loops: int) -> None:
        """Emit all audio; the conversation sends it on as it sounds."""
        once, now = len(audio), asyncio.get_running_loop().time
        whole = once * max(1, min(loops, MAX_LOOPS, MAX_SECONDS * 1000 * BYTES_PER_MS // once))
        if whole > once:
            audio *= 1 + -(-_PIECE_BYTES // once)  # So that a piece can begin anywhere in it.
        began = now()
        for count, at in enumerate(range(0, whole, _PIECE_BYTES), 1):
            if utterance not in self._open:  # Whoever listens may cancel at any piece.
                return
            start = at % once
            self._emit(SpeechArrived(utterance, audio[start : start + min(_PIECE_BYTES, whole - at)]))
            early_s = at / (1000 * BYTES_PER_MS) - _AHEAD_S - (now() - began)
            if early_s > 0 or count % _PIECES_AT_ONCE == 0:
                await asyncio.sleep(max(0.0, early_s))
        if self._open.pop(utterance, None) is not None:
            self._emit(SpeechFinished(utterance))

    def _fail(self, utterance: int, error: SoundError, source: str) -> None:
        if self._open.pop(utterance, None) is None:
            return
        _log.warning(
            "sound_failed",
            call=self._name,
            utterance=utterance,
            source=shown_source(source),
            code=error.code,
            reason=error.message,
        )
        self._emit(SpeechFailed(utterance, error.code, error.message, final=True))


async def _tones(digits: str) -> bytes:
    if len(digits) > MAX_DIGITS:
        raise SoundError(
            f"{len(digits)} digits are too many to send: give {MAX_DIGITS} at most", code="sound_refused"
        )
    try:
        return dtmf.tones(digits)
    except ValueError as error:
        raise SoundError(f"cannot send the digits: {error}", code="sound_format") from error


def _to_mulaw(file: bytes, name: str, content_type: str) -> bytes:
    """Convert a WAV file. Reckons for up to seconds; raises `SoundError`."""
    try:
        if wav.parse(file, name=name).seconds > MAX_SECONDS:
            raise SoundError(
                f"the sound {name} is longer than {MAX_SECONDS // 60} minutes: make it shorter",
                code="sound_refused",
            )
        return wav.read_mulaw(file, name=name)
    except SettingsError as error:
        called = f" (its server calls it {content_type[:80]!r})" if content_type else ""
        raise SoundError(error.message + called, code="sound_format") from error
