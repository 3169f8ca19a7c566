"""The command `phone-bridge agent check`: tries an author's webhook out, without a phone and without a bridge."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from bridge.process import FAILED, OK, run

if TYPE_CHECKING:
    from bridge.agent_check.findings import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}
_WIDTH = 14
"""Of the longest name of a check."""


@click.group(short_help="Help for authors of agents.")
def agent() -> None:
    """Help for authors of agents."""


@agent.command(short_help="Play good and odd exchanges against a webhook, and say what is wrong.")
@click.argument("url")
@click.option(
    "--secret", envvar="BRIDGE_AGENT__SECRET", help="The agent's secret. [default: requests are unsigned]"
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10,
    show_default=True,
    help="Seconds to wait for the first byte of an answer, and from byte to byte.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
def check(url: str, secret: str | None, timeout: float, as_json: bool) -> int:
    """Play the parts of a phone call against the webhook at URL, and say what is wrong and how to mend it.

    Turns, interruptions, keys, silence, closed connections, repeated deliveries, forged signatures and more.
    Nothing is changed but what the agent itself does for a call; the calls' ids begin with check-. Exit code 1 if
    something has to be mended; warnings do not count.
    """
    return run(_check(url, secret or "", timeout, as_json=as_json))


async def _check(url: str, secret: str, timeout_s: float, *, as_json: bool) -> int:
    from bridge.agent_check.run import check_agent  # noqa: PLC0415  (help texts come without it)

    report = await check_agent(url, secret=secret, timeout_s=timeout_s, on_finding=None if as_json else _show)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        click.echo(f"\n{report.summary()}")
    return OK if report.ok else FAILED


def _show(finding: Finding) -> None:
    from bridge.agent_check.findings import lines  # noqa: PLC0415  (help texts come without it)

    first, *more = lines(finding, width=_WIDTH)
    status = finding.status
    click.echo(click.style(f"{status:8}", fg=_COLOURS[status]) + first[8:])
    for line in more:
        click.echo(line)
