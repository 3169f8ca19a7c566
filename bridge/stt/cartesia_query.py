"""The query parameters of Cartesia's two realtime speech-to-text sockets: built by clients, read by servers. Pure.

Protocol: `/stt/turns/websocket` and `/stt/websocket`, query parameters. A parameter that is not set is left out,
so that the service's own default holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import parse_qs, quote, urlencode

import msgspec

from bridge.errors import ProtocolError

ENCODINGS: Final = frozenset({"pcm_s16le", "pcm_s32le", "pcm_f16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"})
"""Audio encodings of both sockets; always mono, without a header."""
MAX_KEYTERMS: Final = 100
MAX_KEYTERM_CHARACTERS: Final = 1200
"""Of all key terms of a connection together."""

Number = TypeVar("Number", int, float)


class TurnThresholds(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a turn starts and ends, as scores of "the user is speaking". None is the service's default.

    A lower end threshold is more patient. Always end < eager end < start. The names are those of the `config`
    command; the query has them with `turn_` in front.
    """

    start_threshold: float | None = None
    """Above it a turn starts: 0.5 to 0.9, default 0.8."""
    eager_end_threshold: float | None = None
    """Below it the turn may be over: 0.3 to 0.6, default 0.4."""
    end_threshold: float | None = None
    """Below it the turn is over: 0.05 to 0.5, default 0.2."""
    end_timeout_ms: float | None = None
    """Longest wait in ms after the user stops: 640 to 11200, default 5600."""

    def filled(self) -> TurnThresholds:
        """The same with the service's defaults in place of None."""
        return _DEFAULTS.updated(self)

    def updated(self, change: TurnThresholds) -> TurnThresholds:
        """These thresholds with what `change` sets put in their place (the `config` command in mid-session)."""
        given = {name: value for name in _RANGES if (value := getattr(change, name)) is not None}
        return msgspec.structs.replace(self, **given)

    def check(self) -> None:
        """Raise `ProtocolError` if a value is out of its range, or the order (defaults filled in) is wrong."""
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise _bad(f"turn_{name} is {value}: it must be from {low} to {high}")
        full = self.filled()
        start, eager, end = full.start_threshold, full.eager_end_threshold, full.end_threshold
        if start is None or eager is None or end is None or not end < eager < start:
            raise _bad(
                f"the turn thresholds must rise from end to eager end to start; they are {end}, {eager} and {start}"
            )


_DEFAULTS: Final = TurnThresholds(0.8, 0.4, 0.2, 5600)
_RANGES: Final = {
    "start_threshold": (0.5, 0.9),
    "eager_end_threshold": (0.3, 0.6),
    "end_threshold": (0.05, 0.5),
    "end_timeout_ms": (640, 11200),
}


@dataclass(frozen=True, slots=True)
class TurnsParameters:
    """Query of `/stt/turns/websocket`. A forbidden value raises `ProtocolError` (code `bad_parameter`)."""

    model: str = "ink-2"
    encoding: str = "pcm_mulaw"
    sample_rate: int = 8000
    """Hz."""
    keyterms: tuple[str, ...] = ()
    """Words and phrases to listen for: 100 at most, 1200 characters in all."""
    thresholds: TurnThresholds = TurnThresholds()  # noqa: RUF009 - frozen, so sharing the default is safe
    cartesia_version: str | None = None
    """The version asked for in the query; it wins over the header."""

    def __post_init__(self) -> None:
        _check_audio(self.model, self.encoding, self.sample_rate)
        _check_keyterms(self.keyterms)
        self.thresholds.check()

    def query(self) -> str:
        """The query string, percent-encoded: a space is `%20`, because the service takes `+` for a plus."""
        pairs = [*_audio_pairs(self.model, self.encoding, self.sample_rate)]
        pairs += [("keyterm", term) for term in self.keyterms]
        pairs += [
            (f"turn_{name}", f"{value:g}")
            for name in _RANGES
            if (value := getattr(self.thresholds, name)) is not None
        ]
        pairs += _optional(cartesia_version=self.cartesia_version)
        return urlencode(pairs, quote_via=quote)

    @classmethod
    def parse(cls, query: str) -> TurnsParameters:
        """Read a query string; other names are ignored. A missing required one raises `ProtocolError`."""
        values = parse_qs(query, keep_blank_values=True)
        return cls(
            model=_required(values, "model"),
            encoding=_required(values, "encoding"),
            sample_rate=_number(values, "sample_rate", int) or 0,
            keyterms=tuple(values.get("keyterm", ())),
            thresholds=TurnThresholds(**{name: _number(values, f"turn_{name}", float) for name in _RANGES}),
            cartesia_version=_last(values, "cartesia_version"),
        )


@dataclass(frozen=True, slots=True)
class ManualParameters:
    """Query of `/stt/websocket`. A forbidden value raises `ProtocolError` (code `bad_parameter`)."""

    model: str = "ink-2"
    encoding: str = "pcm_mulaw"
    sample_rate: int = 8000
    """Hz."""
    language: str | None = None
    """ISO 639-1; None is the service's default, `en`."""
    keyterms: tuple[str, ...] = ()
    """As in `TurnsParameters`; only for `ink-2`."""
    min_volume: float | None = None
    """0.0 to 1.0: what is quieter counts as silence. Only for `ink-whisper`."""
    max_silence_duration_secs: float | None = None
    """Silence in seconds after which the service finalizes by itself. Only for `ink-whisper`."""
    cartesia_version: str | None = None

    def __post_init__(self) -> None:
        _check_audio(self.model, self.encoding, self.sample_rate)
        _check_keyterms(self.keyterms)
        if self.min_volume is not None and not 0 <= self.min_volume <= 1:
            raise _bad(f"min_volume is {self.min_volume}: it must be from 0 to 1")
        if self.max_silence_duration_secs is not None and not self.max_silence_duration_secs > 0:
            raise _bad(f"max_silence_duration_secs is {self.max_silence_duration_secs}: it must be over 0")

    def query(self) -> str:
        """The query string, percent-encoded as in `TurnsParameters.query`."""
        pairs = [*_audio_pairs(self.model, self.encoding, self.sample_rate), *_optional(language=self.language)]
        pairs += [("keyterm", term) for term in self.keyterms]
        pairs += _optional(
            min_volume=self.min_volume,
            max_silence_duration_secs=self.max_silence_duration_secs,
            cartesia_version=self.cartesia_version,
        )
        return urlencode(pairs, quote_via=quote)

    @classmethod
    def parse(cls, query: str) -> ManualParameters:
        """Read a query string; other names are ignored. A missing required one raises `ProtocolError`."""
        values = parse_qs(query, keep_blank_values=True)
        return cls(
            model=_required(values, "model"),
            encoding=_required(values, "encoding"),
            sample_rate=_number(values, "sample_rate", int) or 0,
            language=_last(values, "language"),
            keyterms=tuple(values.get("keyterm", ())),
            min_volume=_number(values, "min_volume", float),
            max_silence_duration_secs=_number(values, "max_silence_duration_secs", float),
            cartesia_version=_last(values, "cartesia_version"),
        )


def _bad(message: str) -> ProtocolError:
    return ProtocolError(message, code="bad_parameter")


def _check_audio(model: str, encoding: str, sample_rate: int) -> None:
    if not model:
        raise _bad("model is missing: name one, for example ink-2")
    if encoding not in ENCODINGS:
        raise _bad(f"encoding is {encoding!r}: it must be one of {', '.join(sorted(ENCODINGS))}")
    if sample_rate <= 0:
        raise _bad("sample_rate is missing or not a rate in Hz: name one, for example 8000")


def _check_keyterms(keyterms: Sequence[str]) -> None:
    if len(keyterms) > MAX_KEYTERMS:
        raise _bad(f"{len(keyterms)} key terms are too many: at most {MAX_KEYTERMS}")
    if (characters := sum(map(len, keyterms))) > MAX_KEYTERM_CHARACTERS:
        raise _bad(f"the key terms have {characters} characters together: at most {MAX_KEYTERM_CHARACTERS}")
    if not all(term.strip() for term in keyterms):
        raise _bad("a key term is empty")


def _audio_pairs(model: str, encoding: str, sample_rate: int) -> tuple[tuple[str, str], ...]:
    return ("model", model), ("encoding", encoding), ("sample_rate", str(sample_rate))


def _optional(**values: str | float | None) -> list[tuple[str, str]]:
    return [
        (name, value if isinstance(value, str) else f"{value:g}")
        for name, value in values.items()
        if value is not None
    ]


def _last(values: Mapping[str, list[str]], name: str) -> str | None:
    found = values.get(name)
    return found[-1] if found else None


def _required(values: Mapping[str, list[str]], name: str) -> str:
    if not (value := _last(values, name)):
        raise _bad(f"{name} is missing")
    return value


def _number(values: Mapping[str, list[str]], name: str, kind: type[Number]) -> Number | None:
    if (value := _last(values, name)) is None:
        return None
    try:
        return kind(value)
    except ValueError:
        raise _bad(f"{name} is {value!r}: it must be a number") from None
