"""Plays every exchange against an agent and collects what was found."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from bridge.agent_check.exchanges import play
from bridge.agent_check.findings import Finding, Report
from bridge.agent_check.probe import Probe
from bridge.agents.webhook.agent import WebhookAgent


async def check_agent(
    url: str, *, secret: str = "", timeout_s: float = 10.0, on_finding: Callable[[Finding], None] | None = None
) -> Report:
    """Try the webhook agent at `url` out; `on_finding` is told each finding as it comes.

    Takes as long as the agent's answers to about forty questions. Cancelling closes the connections.
    Raises SettingsError for a URL or secret that cannot work.
    """
    shown = WebhookAgent(url, secret=secret).url  # The same rules as for the settings; opens nothing.
    findings: list[Finding] = []
    async with Probe(url, secret=secret, timeout_s=timeout_s) as probe, aclosing(play(probe)) as found:
        async for finding in found:
            findings.append(finding)
            if on_finding is not None:
                on_finding(finding)
    return Report(shown, tuple(findings))
