"""Whose hand-off webhook is asked for which call: ties sessions of `relay` agents to `bridge.twilio.handoff`."""

from __future__ import annotations

import aiohttp
import structlog

from bridge.agents.conversation_relay import RelayAgent
from bridge.profiles import Profiles
from bridge.settings import Settings
from bridge.twilio import handoff
from bridge.twilio.gate import Form

log = structlog.get_logger()


class RelayHandOffs:
    """As `bridge.twilio.departures.HandOffs`, for calls of `relay` agents whose settings name a webhook."""

    def __init__(self, settings: Settings, profiles: Profiles) -> None:
        self.take(settings)
        self._profiles = profiles
        self._http: aiohttp.ClientSession | None = None

    def take(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._url = settings.relay.action_url
        token = settings.relay.auth_token or settings.twilio.auth_token
        self._token = token.get_secret_value()

    async def next_of(self, sid: str, form: Form, data: str) -> str | None:
        """As `HandOffs.next_of`."""
        facts = next(
            (
                found
                for agent in self._profiles.agents
                if isinstance(agent, RelayAgent) and (found := agent.session(sid)) is not None
            ),
            None,
        )
        if facts is None or not self._url:
            return None
        log.info("handing_off", sid=sid, status=facts.status)
        end = handoff.SessionEnd(
            facts.id, facts.status, facts.duration_s, data, facts.error_code, facts.error_message
        )
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return await handoff.ask(self._http, self._url, form, end, token=self._token)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
