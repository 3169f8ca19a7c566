"""What `doctor` looks at for `openai` agents: whether the endpoint lets us in, and has the model."""

from __future__ import annotations

import difflib
import json

import aiohttp
from yarl import URL

from bridge.checks.local import Finding
from bridge.errors import system_reason
from bridge.settings.agents import OpenAISettings

_TIMEOUT = aiohttp.ClientTimeout(total=8)
_MOST_BYTES = 2_000_000
"""Of a list of models; that of a large hub has some hundred kilobytes."""


async def check_model(url: str, settings: OpenAISettings) -> Finding:
    """Ask the endpoint for its models, which costs nothing. `url` is that of the agent."""
    base = URL(url)
    path = base.path.removesuffix("/chat/completions").rstrip("/")
    models = base.with_path(f"{path}/models", keep_query=True)
    shown = str(models.with_user(None).with_query(None))
    key = settings.api_key.get_secret_value()
    headers = {"authorization": f"Bearer {key}"} if key and base.user is None else {}
    try:
        async with (
            # As the agent itself does: no proxy of the environment, no redirects.
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(models, headers=headers, allow_redirects=False) as answer,
        ):
            status, body = answer.status, await _read(answer)
    except TimeoutError:
        return _failed(shown, f"nothing came within {_TIMEOUT.total:g} s")
    except OSError as error:
        return _failed(shown, system_reason(error))
    except (aiohttp.ClientError, ValueError) as error:
        return _failed(shown, str(error) or type(error).__name__)
    if status == 200:
        return _offered(shown, settings.model, body)
    return _refused(shown, status, has_key=bool(key))


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) < _MOST_BYTES and (data := await answer.content.readany()):
        body += data
    return body


def _failed(shown: str, why: str) -> Finding:
    return Finding("agent", "failed", f"{shown} does not answer: {why}", "start the server, or mend agent.url")


def _refused(shown: str, status: int, *, has_key: bool) -> Finding:
    message = f"{shown} answers with {status}"
    if status in {401, 403}:
        which = "the key is refused: set" if has_key else "no key is set: set"
        remedy = f"{which} openai.api_key (BRIDGE_OPENAI__API_KEY, or OPENAI_API_KEY) to one of that server"
        return Finding("agent", "failed", message, remedy)
    if status == 429:
        return Finding("agent", "warning", message, "see the limits and the balance of the account")
    if status >= 500:
        return Finding("agent", "warning", message, "see the server's own log")
    remedy = "see that agent.url is the base of the API, such as http://127.0.0.1:8000/v1"
    return Finding("agent", "warning", message, remedy)


def _offered(shown: str, model: str, body: bytes) -> Finding:
    try:
        listed = json.loads(body)["data"]
        names = [str(entry["id"]) for entry in listed]
    except (ValueError, TypeError, KeyError, RecursionError):
        remedy = "see that agent.url is the base of the API, such as http://127.0.0.1:8000/v1"
        return Finding("agent", "warning", f"{shown} answers, but not with a list of models", remedy)
    if model in names or f"{model}:latest" in names:
        return Finding("agent", "ok", f"{shown} lets us in and has {model}")
    close = difflib.get_close_matches(model, names, n=1) or names[:5]
    there = f" to one it has, such as {', '.join(close)}" if close else ""
    remedy = f"set openai.model (BRIDGE_OPENAI__MODEL){there}"
    # A server with one model takes any name for it, so that this may well be as it should.
    return Finding("agent", "warning", f"{shown} does not list the model {model}", remedy)
