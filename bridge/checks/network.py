"""What `doctor` looks at beyond this machine: speech, agent, public URL, clock, Twilio's account."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from bridge.checks.local import Finding
from bridge.checks.model import check_model
from bridge.errors import BridgeError, system_reason
from bridge.settings import Settings

if TYPE_CHECKING:
    from bridge.twilio.rest import NumberWebhooks

VOICE_PATH = "/twilio/voice"

_TIMEOUT = aiohttp.ClientTimeout(total=8)
_SKEW_S = 5
"""Signed webhooks and stream tokens have times in them; seconds do no harm, minutes do."""


async def check_speech(settings: Settings) -> list[Finding]:
    """Whether the speech service lets us in, both ways."""
    from bridge.speech.adapters import check_recognizer, tts_settings  # noqa: PLC0415  (not needed for local speech)
    from bridge.tts.cartesia import check_tts  # noqa: PLC0415  (see above)

    url = settings.speech.base_url
    return list(
        await asyncio.gather(
            _tried("speech to text", check_recognizer(settings, url), f"{url} takes connections"),
            _tried("text to speech", check_tts(tts_settings(settings, url)), f"{url} takes connections"),
        )
    )


async def _tried(check: str, attempt: Coroutine[Any, Any, Any], well: str) -> Finding:
    try:
        await attempt
    except BridgeError as error:
        # The sentences of the speech service's errors end with their own remedy.
        return Finding(check, "failed", error.message)
    return Finding(check, "ok", well)


async def check_agent(settings: Settings) -> list[Finding]:
    """Whether each agent of the settings can be reached. A webhook is asked with HEAD, so no call is begun."""
    agents = [settings.agent]
    # Where two people talk, nobody asks the agent.
    agents += [settings.for_number(entry.number).agent for entry in settings.numbers if entry.mode == "agent"]
    seen: list[tuple[str, str]] = []
    for agent in agents:
        if (agent.kind, agent.url) not in seen:
            seen.append((agent.kind, agent.url))
    return list(await asyncio.gather(*(_agent(kind, url, settings) for kind, url in seen)))


async def _agent(kind: str, url: str, settings: Settings) -> Finding:
    if kind == "openai":
        return await check_model(url, settings.openai)
    if kind in {"python", "flow"}:
        return await _loaded(kind, url, settings)
    if kind in {"webhook", "relay"}:
        return await (_webhook if kind == "webhook" else _relay)(url)
    return Finding("agent", "ok", f"the {kind} agent needs nothing")


async def _webhook(url: str) -> Finding:
    try:
        status, _ = await _ask("HEAD", url)
    except _NoAnswerError as error:
        return Finding("agent", "failed", f"{url} does not answer: {error}", "start the agent, or mend agent.url")
    if status == 404:
        return Finding(
            "agent", "warning", f"{url} answers HEAD with 404", "see that the path of agent.url is right"
        )
    if status >= 500:
        return Finding("agent", "warning", f"{url} answers HEAD with {status}", "see the agent's own log")
    return Finding("agent", "ok", f"{url} answers")


async def _relay(url: str) -> Finding:
    """Whether somebody answers at a ConversationRelay app's address. It is not greeted as a call would greet it."""
    plain = "http" + url.removeprefix("ws") if url.startswith("ws") else url
    try:
        status, _ = await _ask("GET", plain)
    except _NoAnswerError as error:
        return Finding("agent", "failed", f"{url} does not answer: {error}", "start the app, or mend agent.url")
    if status >= 500:
        return Finding("agent", "warning", f"{url} answers GET with {status}", "see the app's own log")
    # 400, 404 or 426, as the framework has it: the address is for WebSockets.
    return Finding("agent", "ok", f"{url} answers")


async def _loaded(kind: str, url: str, settings: Settings) -> Finding:
    """Whether an agent that lies on this machine can be used."""
    try:
        if kind == "python":
            from bridge.agents.python import load_function  # noqa: PLC0415  (only for this kind)

            load_function(url)
            return Finding("agent", "ok", f"{url} can be imported")
        from bridge.agents.flow.agent import load_flow  # noqa: PLC0415  (only for this kind)

        flow = await asyncio.to_thread(load_flow, url, settings.agent.sounds)
        return Finding("agent", "ok", f"the flow {url} has {len(flow.steps)} steps and no mistakes")
    except BridgeError as error:
        return Finding("agent", "failed", error.message)


async def check_public_url(settings: Settings) -> list[Finding]:
    """Whether the bridge is found where Twilio will look for it."""
    check, url = "public URL", settings.server.public_url
    if not url:
        message = "server.public_url is not set: no real phone can call, simulated ones can"
        remedy = "set it (BRIDGE_SERVER__PUBLIC_URL) to the https address of your tunnel or host"
        return [Finding(check, "warning", message, remedy)]
    try:
        status, body = await _ask("GET", f"{url}/healthz")
    except _NoAnswerError as error:
        remedy = "start  phone-bridge serve  and the tunnel or proxy that leads to it"
        return [Finding(check, "failed", f"{url} does not answer: {error}", remedy)]
    if status != 200 or '"ok"' not in body:
        message = f"{url}/healthz answers {status}, and not as a bridge does"
        return [Finding(check, "failed", message, "let the tunnel or proxy lead to the port of phone-bridge serve")]
    return [Finding(check, "ok", f"{url} leads to a bridge")]


async def check_clock(settings: Settings) -> list[Finding]:
    """Whether this machine's clock agrees with somebody else's: the Date of an HTTP answer."""
    speech = settings.speech.base_url
    origins = [settings.twilio.api_url] if settings.twilio.api_url else []
    if settings.twilio.account_sid and not origins:
        origins.append("https://api.twilio.com")
    if speech.startswith("http"):
        origins.append("{0.scheme}://{0.netloc}".format(urlsplit(speech)))
    for origin in origins:
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True) as session,
                session.head(origin) as said,
            ):
                date, now = said.headers.get("Date", ""), time.time()
            skew = now - parsedate_to_datetime(date).timestamp()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            continue
        if abs(skew) <= _SKEW_S:
            return [Finding("clock", "ok", f"it agrees with {origin}")]
        direction = "ahead of" if skew > 0 else "behind"
        message = f"it is {abs(skew):.0f} s {direction} {origin}"
        return [Finding("clock", "failed" if abs(skew) > 60 else "warning", message, "set it by NTP")]
    return [Finding("clock", "ok", "it could not be compared with another one, and nothing here depends on it")]


async def check_twilio(settings: Settings) -> list[Finding]:
    """Whether the account lets us in, and whether its numbers lead here."""
    twilio, token = settings.twilio, settings.twilio.auth_token.get_secret_value()
    if not twilio.account_sid or not token:
        message = "twilio.account_sid and twilio.auth_token are not both set: the account was not looked at"
        return [Finding("twilio", "ok" if not settings.server.public_url else "warning", message)]
    from bridge.twilio.rest import TwilioRest  # noqa: PLC0415  (slow to import)

    rest = TwilioRest(twilio.account_sid, token, twilio.api_url)
    wanted = [entry.number for entry in settings.numbers if entry.number.startswith("+")]
    try:
        found = [entry for number in wanted or [""] for entry in await rest.number_webhooks(number)]
    except BridgeError as error:
        remedy = "see that this machine may reach it" if error.code == "carrier_unreachable" else ""
        return [Finding("twilio", "failed", error.message, remedy)]
    account = Finding("twilio", "ok", "the account lets us in")
    return [account, *_numbers(wanted, found, settings.server.public_url)]


def _numbers(wanted: list[str], found: list[NumberWebhooks], public_url: str) -> list[Finding]:
    """The numbers of the settings one by one; without any, whether one of the account's numbers leads here."""
    known = {entry.number for entry in found}
    findings = [
        Finding("number", "failed", f"{number} is not a number of this account", "mend it in [[numbers]]")
        for number in wanted
        if number not in known
    ]
    if not public_url:
        return findings
    target = public_url + VOICE_PATH
    remedy = f"set its voice webhook to {target} (HTTP POST) in the Twilio console"
    leading = 0
    for entry in found:
        leads_here = entry.voice_url.partition("#")[0] == target
        leading += leads_here
        if leads_here and entry.voice_method.upper() == "POST":
            findings.append(Finding("number", "ok", f"{entry.number} leads here"))
        elif leads_here:
            findings.append(
                Finding("number", "failed", f"{entry.number} leads here by {entry.voice_method}", remedy)
            )
        elif wanted:
            where = entry.voice_url or "nowhere"
            findings.append(Finding("number", "failed", f"{entry.number} leads to {where}", remedy))
    if not wanted and not leading:
        findings.append(Finding("number", "failed", "no number of the account leads here", remedy))
    return findings


class _NoAnswerError(Exception):
    """The other end could not be asked; the text says why."""


async def _ask(method: str, url: str) -> tuple[int, str]:
    """Status and the first characters of the body."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True) as session,
            session.request(method, url, allow_redirects=False) as said,
        ):
            return said.status, (await said.content.read(1000)).decode(errors="replace")
    except TimeoutError:
        raise _NoAnswerError(f"nothing came within {_TIMEOUT.total:g} s") from None
    except OSError as error:
        raise _NoAnswerError(system_reason(error)) from None
    except (aiohttp.ClientError, ValueError) as error:
        raise _NoAnswerError(str(error) or type(error).__name__) from None
