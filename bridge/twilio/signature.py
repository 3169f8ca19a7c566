"""Twilio's request signatures: signing and checking webhooks and WebSocket upgrades. Pure.

A signature proves that a request comes from someone who knows the account's auth token: the base64 of an HMAC-SHA1
over the URL as Twilio used it, followed by the form's fields ("Twilio: validating requests are coming from
Twilio"). The arithmetic is the `twilio` library's; here are the URLs that have to be tried and the comparison.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # the library has no types

HEADER: Final = "X-Twilio-Signature"
"""On every webhook, and in lower case on WebSocket upgrades: look it up whatever its case."""

Form: TypeAlias = Sequence[tuple[str, str]]
"""The fields of a form post as they came: repeated names repeated, blank values kept, nothing trimmed."""

_DEFAULT_PORTS: Final = {"https": 443, "wss": 443, "http": 80, "ws": 80}


class _Fields(dict[str, list[str]]):
    """A form as the validator wants one: a mapping whose names may have several values."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        for name, value in form:
            self.setdefault(name, []).append(value)

    def getall(self, name: str) -> list[str]:
        return self[name]


def sign(token: str, url: str, form: Form) -> str:
    """The signature Twilio would put on a request to `url` with these form fields, for the auth token `token`.

    `url` is the whole URL, query included and percent-encoding untouched; for a WebSocket upgrade it is the
    `wss://` URL of the TwiML and `form` is empty. A fragment takes no part.
    """
    return _compute(token, url.partition("#")[0], _Fields(form))


def verify(token: str | Sequence[str], url: str, form: Form, signature: str | None, *, fragment: str = "") -> bool:
    """Whether `signature` (the header's value, None when it is missing) fits this request.

    `token` may be several auth tokens, any of which fits: so a token can be rotated without refusing calls. The URL
    is tried with and without its port, since Twilio is not consistent about it. Takes the same time for a
    signature that is wrong early and one that is wrong late. Never raises, whatever a stranger sends.

    `fragment`: what stood behind `#` in the URL as it was handed out. Twilio signs without it, and never sends it;
    who signs the URL as it stands, as its libraries would, signs it as well.
    """
    urls = list(_ports(url))
    return _verify(token, urls + [one + fragment for one in urls if fragment], form, signature)


def verify_upgrade(token: str | Sequence[str], url: str, signature: str | None) -> bool:
    """Whether `signature` fits a WebSocket upgrade to `url`, the `wss://` URL (or `ws://`) of the TwiML.

    Tolerates a slash more or less at the end of the path, beyond what `verify` does.
    """
    other = url[:-1] if url.endswith("/") else url + "/"
    return _verify(token, [*_ports(url), *_ports(other)], (), signature)


def _verify(token: str | Sequence[str], urls: list[str], form: Form, signature: str | None) -> bool:
    tokens = [token] if isinstance(token, str) else token
    if not signature:
        return False
    # An empty token would let anybody sign.
    given, fields, fits = signature.encode("utf-8", "replace"), _Fields(form), False
    for one in filter(None, tokens):
        for url in urls:
            try:
                expected = _compute(one, url, fields)
            except UnicodeEncodeError:  # bytes in the request that are no text cannot have been signed
                continue
            fits |= hmac.compare_digest(expected.encode(), given)
    return fits


def _compute(token: str, url: str, fields: _Fields) -> str:
    return str(RequestValidator(token).compute_signature(url, fields))


def _ports(url: str) -> Iterator[str]:
    """The URL without fragment as it stands, and with its port left out or its scheme's default port put in."""
    url = url.partition("#")[0]
    yield url
    try:
        parts = urlsplit(url)
        port, host = parts.port, _bare_host(parts)
    except ValueError:  # a port that is no number, a bracket that does not close
        return
    if not host or parts.scheme not in _DEFAULT_PORTS:
        return
    netloc = parts.netloc.rpartition("@")[0]
    netloc += "@" if netloc else ""
    netloc += host if port is not None else f"{host}:{_DEFAULT_PORTS[parts.scheme]}"
    # Cut out of the text and not rebuilt from its parts: an empty query must not lose its question mark.
    start = url.index("//") + 2
    yield url[:start] + netloc + url[start + len(parts.netloc) :]


def _bare_host(parts: SplitResult) -> str:
    """The host as written, in its case and with the brackets of an IPv6 address, without port."""
    host = parts.netloc.rpartition("@")[2]
    return host if parts.port is None else host.rpartition(":")[0]
