"""From the settings to what the speech adapters want to be told: for the bridge, and for the doctor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bridge.settings import Settings
from bridge.speech.link import DEFAULT_VERSION, SpeechLink
from bridge.speech.standby import FIRST_AUDIO_S, Standby, Switch
from bridge.stt.base import RecognizerFactory
from bridge.stt.cartesia_batch import MODEL, CartesiaBatch
from bridge.stt.cartesia_manual import CartesiaManual, CartesiaManualSettings, check_manual
from bridge.stt.cartesia_turns import CartesiaTurns, CartesiaTurnsSettings, check_stt
from bridge.tts.base import Synthesizer
from bridge.tts.cartesia import CartesiaSpeech, CartesiaSpeechSettings, check_tts
from bridge.tts.standby import StandbySpeech

LOCAL_LANGUAGES: Final = frozenset({"en"})
"""What the models hear and speak that come with the extra `local`."""


def without_standby(settings: Settings) -> list[str]:
    """Return whose callers the service that stands by does not understand: numbers, or `the settings`' own."""
    if settings.speech.standby != "local":
        return []
    named = [("all other numbers", settings)]
    named += [(entry.number, settings.for_number(entry.number)) for entry in settings.numbers]
    return [name for name, own in named if not {_heard(own), own.tts.language.lower()[:2]} <= LOCAL_LANGUAGES]


def _heard(settings: Settings) -> str:
    """The language that callers are listened to in: one endpoint takes all for English."""
    return "en" if settings.stt.endpoint == "turns" else settings.stt.language.lower()[:2]


def recognizers(settings: Settings, url: str, standby: Standby | None = None) -> RecognizerFactory:
    """The recogniser that the settings name. `url`: the speech service, known late where it is `local`.

    `standby`: the service that stands by for it; None: there is none.
    Raises `SettingsError` for a value that the service forbids.
    """
    if standby is not None and not standby.knows(_heard(settings)):
        standby = None
    if settings.stt.endpoint == "turns":
        return CartesiaTurns(stt_settings(settings, url), standby)
    return CartesiaManual(manual_settings(settings, url), standby)


def synthesizer(
    settings: Settings, url: str, standby: Standby | None = None, on_lost: Callable[[], None] = lambda: None
) -> Synthesizer:
    """The synthesiser that the settings name; `url` and `standby` as above, `on_lost` as in `CartesiaSpeech`."""
    own = tts_settings(settings, url)
    if standby is None:
        return CartesiaSpeech(own, on_lost)
    patience_s = FIRST_AUDIO_S + own.max_buffer_delay_ms / 1000
    other = replace(own, base_url=standby.url, api_key=standby.api_key, access_token="", version=DEFAULT_VERSION)
    main, spare = CartesiaSpeech(own, on_lost), CartesiaSpeech(other, on_lost)
    return StandbySpeech(main, spare, standby.tts, standby.knows, patience_s=patience_s)


def make_standby(settings: Settings, url: str, standby_url: str, up: Callable[[], bool]) -> Standby:
    """What stands by for the service at `url`; `up` tells whether it is there, as far as is known."""
    local = settings.speech.standby == "local"
    return Standby(
        standby_url,
        Switch("stt", lambda: check_recognizer(settings, url)),
        Switch("tts", lambda: check_tts(tts_settings(settings, url))),
        settings.speech.standby_key.get_secret_value(),
        LOCAL_LANGUAGES if local else None,
        up,
    )


def batch(settings: Settings, url: str, model: str | None = None) -> CartesiaBatch:
    """What makes text of whole files; to be made on the event loop, and closed. `url` as above."""
    speech = settings.speech
    link = SpeechLink(
        url,
        api_key=speech.api_key.get_secret_value(),
        version=speech.version,
        headers=settings.stt.headers,
        access_token=speech.access_token.get_secret_value(),
    )
    return CartesiaBatch(link, model=model or MODEL, language=settings.stt.language)


async def check_recognizer(settings: Settings, url: str) -> None:
    """Connect as the recogniser of the settings would, and leave. Raises `SpeechError`, which names the remedy."""
    if settings.stt.endpoint == "turns":
        await check_stt(stt_settings(settings, url))
    else:
        await check_manual(manual_settings(settings, url))


def stt_settings(settings: Settings, url: str) -> CartesiaTurnsSettings:
    """What the recogniser that finds turns itself needs; `url` as above."""
    stt, speech = settings.stt, settings.speech
    return CartesiaTurnsSettings(
        base_url=url,
        api_key=speech.api_key.get_secret_value(),
        access_token=speech.access_token.get_secret_value(),
        version=speech.version,
        model=stt.model,
        encoding=stt.encoding,
        chunk_ms=stt.chunk_ms,
        headers=stt.headers,
        keyterms=stt.keyterms,
        turn_start_threshold=stt.turn_start_threshold,
        turn_eager_end_threshold=stt.turn_eager_end_threshold,
        turn_end_threshold=stt.turn_end_threshold,
        turn_end_timeout_ms=stt.turn_end_timeout_ms,
    )


def manual_settings(settings: Settings, url: str) -> CartesiaManualSettings:
    """What the recogniser with turns of our own finding needs; `url` as above."""
    stt, speech = settings.stt, settings.speech
    return CartesiaManualSettings(
        base_url=url,
        api_key=speech.api_key.get_secret_value(),
        access_token=speech.access_token.get_secret_value(),
        version=speech.version,
        model=stt.model,
        language=stt.language,
        encoding=stt.encoding,
        chunk_ms=stt.chunk_ms,
        headers=stt.headers,
        keyterms=stt.keyterms,
        pause_ms=stt.pause_ms,
        eager_pause_ms=stt.eager_pause_ms,
        min_volume=stt.min_volume,
        max_silence_duration_secs=stt.max_silence_seconds,
        detector=stt.detector,
    )


def tts_settings(settings: Settings, url: str) -> CartesiaSpeechSettings:
    """What the synthesiser needs; `url` as above."""
    tts, speech = settings.tts, settings.speech
    return CartesiaSpeechSettings(
        base_url=url,
        api_key=speech.api_key.get_secret_value(),
        access_token=speech.access_token.get_secret_value(),
        version=speech.version,
        model=tts.model,
        voice=tts.voice,
        language=tts.language,
        max_buffer_delay_ms=tts.max_buffer_delay_ms,
    )
