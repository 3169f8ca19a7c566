"""The command `phone-bridge dial`: asks a running bridge for a call, and watches it to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.errors import BridgeError, SettingsError
from bridge.process import FAILED, OK, run

if TYPE_CHECKING:
    import aiohttp

_LOOK_S = 0.25
_TIMEOUT_S = 15.0
_OF_CALLER = frozenset({400, 401, 403, 409, 413, 415, 422})
"""What the bridge refuses because of what was asked: wrong usage."""
_LOOKS_LOST = 20
"""So often in a row the bridge may not answer while the call is watched."""
_OVER = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})

_ABOUT_KEY = (
    "The bridge's API token; others on this machine can see it here, but not in BRIDGE_API__TOKEN."
    " [default: api.token]"
)


@click.command(short_help="Call a number, and connect whoever answers with the agent.")
@click.argument("number")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of settings, for the API token. [default: as serve]",
)
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The running bridge to ask.")
@click.option("--token", help=_ABOUT_KEY)
@click.option("--from", "from_number", help="Number to call from. [default: outbound.from_number]")
@click.option(
    "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Handed to the agent; may be repeated."
)
@click.option("--greeting", help="Said when somebody answers. [default: agent.greeting]")
@click.option("--voicemail", help="Said to an answering machine. [default: outbound.voicemail]")
@click.option(
    "--detect-machines",
    type=click.Choice(["off", "sync", "async"]),
    help="Tell people from machines: before the agent speaks, or meanwhile. [default: outbound.detect_machines]",
)
@click.option(
    "--ring-seconds",
    type=click.IntRange(5, 600),
    help="Seconds that the other phone may ring. [default: outbound.ring_seconds]",
)
@click.option("--key", help="Idempotency key: asked again with it, nobody is called twice.")
@click.option("--wait/--no-wait", default=True, help="Wait until the call is over. [default: wait]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
def dial(config: Path | None, token: str | None, url: str, wait: bool, as_json: bool, **options: Any) -> int:
    """Have a running bridge call NUMBER (E.164, such as +15551234567) and connect whoever answers with the agent.

    Exit code 0 if the call was held (with --no-wait: taken), 1 if nobody answered or it failed, 2 if it may not be
    placed so. Ctrl-C ends the call.
    """
    body = order({name: value for name, value in options.items() if name != "key"})
    key = options["key"]
    return run(_dial(url, _token(config, token), body, key=key, wait=wait, as_json=as_json))


def order(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to ask the API for. `options` are the command's by name. Raises `SettingsError`."""
    body: dict[str, Any] = {"to": options["number"]}
    for name, given in (("from", "from_number"), *((same, same) for same in _PLAIN)):
        if options[given] is not None:
            body[name] = options[given]
    pairs = [pair.partition("=") for pair in options["parameters"]]
    for name, sign, _ in pairs:
        if not sign or not name:
            raise SettingsError(f"--parameter is {name + sign!r}: wanted NAME=VALUE, such as customer=4711")
    if pairs:
        body["parameters"] = {name: value for name, _, value in pairs}
    return body


_PLAIN = ("greeting", "voicemail", "detect_machines", "ring_seconds")


def _token(config: Path | None, given: str | None) -> str:
    from bridge.settings.source import load_settings  # noqa: PLC0415  (help texts come without it)

    return given if given is not None else load_settings(config).api.token.get_secret_value()


async def _dial(url: str, token: str, body: dict[str, Any], *, key: str | None, wait: bool, as_json: bool) -> int:
    """Order the call and watch it. Cancelling ends it."""
    import aiohttp  # noqa: PLC0415  (help texts come without it)

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        api = _Api(http, url.rstrip("/"))
        call = await api.ask("POST", "/api/v1/calls", body, {"Idempotency-Key": key} if key is not None else {})
        if wait:
            call = await _watch(api, call, None if as_json else _View())
    click.echo(json.dumps(call, indent=2, ensure_ascii=False) if as_json else _line(call))
    return OK if not wait or call["status"] == "completed" else FAILED


async def _watch(api: _Api, call: dict[str, Any], view: _View | None) -> dict[str, Any]:
    """Look at the call until it is over. Cancelling ends it."""
    address, lost = f"/api/v1/calls/{call['id']}", 0
    try:
        while call["status"] not in _OVER:
            if view is not None:
                view.show(call)
            await asyncio.sleep(_LOOK_S)
            try:
                call, lost = await api.ask("GET", address), 0
            except BridgeError as error:
                lost += 1
                if error.code != "bridge_unreachable" or lost > _LOOKS_LOST:
                    raise
    except asyncio.CancelledError:
        with contextlib.suppress(BridgeError):
            await api.ask("DELETE", address)
        raise
    return call


class _View:
    """The call as it goes on, on standard error: what became of it is on standard output."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, call: Mapping[str, Any]) -> None:
        answerer = f", answered by {call['answered_by']}" if call["answered_by"] else ""
        text = f"{call['to']}: {call['status']}{answerer}"
        if text != self._shown:
            click.echo(text, err=True)
        self._shown = text


def _line(call: Mapping[str, Any]) -> str:
    what = [f"{call['to']}: {call['status']}"]
    if call["answered_by"]:
        what.append(f"answered by {call['answered_by']}")
    if call["reason"]:
        who = "the called person" if call["reason"] == "caller" else call["reason"]
        what.append(f"ended by {who}" if call["status"] == "completed" else call["reason"])
    if call["duration_s"]:
        what.append(f"{call['duration_s']} s")
    text = ", ".join(what) + f"  (call {call['id']})"
    return f"{text}\n  {call['detail']}" if call["detail"] else text


class _Api:
    """The API of a running bridge."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return what is answered. Raises `SettingsError` for what was asked wrongly, else `BridgeError`."""
        import aiohttp  # noqa: PLC0415  (as above)

        try:
            async with self._http.request(method, self._url + path, json=body, headers=headers) as response:
                answer = await response.json(content_type=None)
        except aiohttp.InvalidURL:
            raise SettingsError(f"--url is {self._url!r}: wanted one such as http://127.0.0.1:8080") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BridgeError(
                f"no bridge answers at {self._url} ({type(error).__name__}): start  phone-bridge serve,  or give"
                " its address with --url",
                code="bridge_unreachable",
            ) from None
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or (response.status < 300 and "id" not in answer):
            raise BridgeError(f"{self._url} does not answer as phone-bridge", code="bridge_answer")
        if response.status >= 300:
            if response.status == 401:
                said = "the bridge wants its API token: give it with --token, or as BRIDGE_API__TOKEN"
                raise SettingsError(said)
            said = str(answer.get("detail", f"the bridge answered {response.status}"))
            kind = SettingsError if response.status in _OF_CALLER else BridgeError
            raise kind(said, code=str(answer.get("code", "bridge_answer")))
        return answer
