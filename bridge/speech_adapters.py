"""From the settings to what the speech adapters want to be told: for the bridge, and for the doctor."""

from __future__ import annotations

from bridge.settings import Settings
from bridge.speech_link import SpeechLink
from bridge.stt.base import RecognizerFactory
from bridge.stt.cartesia_batch import MODEL, CartesiaBatch
from bridge.stt.cartesia_manual import CartesiaManual, CartesiaManualSettings, check_manual
from bridge.stt.cartesia_turns import CartesiaTurns, CartesiaTurnsSettings, check_stt
from bridge.tts.cartesia import CartesiaSpeechSettings


def recognizers(settings: Settings, url: str) -> RecognizerFactory:
    """The recogniser that the settings name. `url`: the speech service, known late where it is `local`.

    Raises `SettingsError` for a value that the service forbids.
    """
    if settings.stt.endpoint == "turns":
        return CartesiaTurns(stt_settings(settings, url))
    return CartesiaManual(manual_settings(settings, url))


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
