"""From the settings to what the speech adapters want to be told: for the bridge, and for the doctor."""

from __future__ import annotations

from bridge.settings import Settings
from bridge.stt.cartesia_turns import CartesiaTurnsSettings
from bridge.tts.cartesia import CartesiaSpeechSettings


def stt_settings(settings: Settings, url: str) -> CartesiaTurnsSettings:
    """What the recogniser needs. `url`: the speech service, whose address is known late where it is `local`."""
    stt, speech = settings.stt, settings.speech
    return CartesiaTurnsSettings(
        base_url=url,
        api_key=speech.api_key.get_secret_value(),
        version=speech.version,
        model=stt.model,
        chunk_ms=stt.chunk_ms,
        headers=stt.headers,
        keyterms=stt.keyterms,
        turn_start_threshold=stt.turn_start_threshold,
        turn_eager_end_threshold=stt.turn_eager_end_threshold,
        turn_end_threshold=stt.turn_end_threshold,
        turn_end_timeout_ms=stt.turn_end_timeout_ms,
    )


def tts_settings(settings: Settings, url: str) -> CartesiaSpeechSettings:
    """What the synthesiser needs; `url` as above."""
    tts, speech = settings.tts, settings.speech
    return CartesiaSpeechSettings(
        base_url=url,
        api_key=speech.api_key.get_secret_value(),
        version=speech.version,
        model=tts.model,
        voice=tts.voice,
        language=tts.language,
    )
