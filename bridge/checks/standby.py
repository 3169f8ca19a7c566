"""What `doctor` looks at of the speech service that stands by for the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from pydantic import SecretStr

from bridge.checks.local import Finding, check_local_speech
from bridge.errors import BridgeError
from bridge.settings import Settings

CHECK: Final = "standby"


async def check_standby(settings: Settings) -> list[Finding]:
    """Whether it could take over, and for whom; nothing where there is none. Loads the models of a local one."""
    if not settings.speech.standby:
        return []
    from bridge.speech.adapters import without_standby  # noqa: PLC0415  (needed for this alone)

    local = settings.speech.standby == "local"
    findings = await asyncio.to_thread(_models) if local else [await _server(settings)]
    if numbers := without_standby(settings):
        message = f"it knows English only, so it does not stand by for {', '.join(numbers)}"
        remedy = "name a server that knows their languages in speech.standby, or see voicemail"
        findings.append(Finding(CHECK, "warning", message, remedy))
    return findings


def _models() -> list[Finding]:
    return [replace(finding, check=CHECK) for finding in check_local_speech()]


async def _server(settings: Settings) -> Finding:
    from bridge.speech.adapters import check_recognizer, tts_settings  # noqa: PLC0415  (needed for this alone)
    from bridge.tts.cartesia import check_tts  # noqa: PLC0415  (see above)

    # Keys and headers of the other service are not for it.
    keys = {"api_key": settings.speech.standby_key, "access_token": SecretStr("")}
    speech, stt = settings.speech.model_copy(update=keys), settings.stt.model_copy(update={"headers": {}})
    own, url = settings.model_copy(update={"speech": speech, "stt": stt}), speech.standby
    try:
        await asyncio.gather(check_recognizer(own, url), check_tts(tts_settings(own, url)))
    except BridgeError as error:
        return Finding(CHECK, "failed", error.message.replace("speech.base_url", "speech.standby"))
    return Finding(CHECK, "ok", f"{url} takes connections, both ways")
