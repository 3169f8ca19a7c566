"""Where sounds come from: http(s) servers and a folder, each guarded against leading elsewhere.

What comes from here is a file as it stands; `bridge.call.sounds` converts, keeps and plays it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Final, Literal, TypeAlias

import aiohttp
from msgspec import Struct, field
from yarl import URL

from bridge.errors import BridgeError

SoundCode: TypeAlias = Literal["sound_unreachable", "sound_format", "sound_refused"]
Stamp: TypeAlias = tuple[int, int]
"""Of a file: when it was written (ns) and its bytes."""

MAX_FILE_BYTES: Final = 10 * 2**20
"""A larger file is not read to its end."""
MAX_REDIRECTS: Final = 3

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = {
    "Accept": "audio/wav, audio/x-wav, audio/*;q=0.5, */*;q=0.1",
    "Accept-Encoding": "identity",  # A small answer must not unpack into a huge one.
    "User-Agent": "phone-bridge",
}
_ELSEWHERE: Final = "put the file into the sounds folder or serve it from another address"
_PRIVATE: Final = "it is in a private network, where sounds may not be fetched from"
_NAT64: Final = IPv6Network("64:ff9b::/96")


class SoundError(BridgeError):
    """A sound cannot be played.

    Codes: `sound_unreachable` (not there, or not in time), `sound_format` (nothing that can be played),
    `sound_refused` (too large, or from where nothing may be fetched).
    """

    def __init__(self, message: str, *, code: SoundCode) -> None:
        super().__init__(message, code=code)


class Origin(Struct, frozen=True):
    """Where a file came from, so that its server can be asked whether it is still what it has."""

    url: str
    """Behind all redirects."""
    validators: Mapping[str, str] = field(default_factory=dict)
    """Headers to ask with; empty: the server cannot tell."""
    may_keep: bool = True
    """False: the server wants it to be fetched each time."""
    must_ask: bool = False
    """True: it may be kept, and the server wants to be asked each time."""


class Fetched(Struct, frozen=True):
    """An answer of a server."""

    file: bytes | None
    """None: nothing has changed."""
    content_type: str
    origin: Origin


class Web:
    """Fetches files over http(s), from public addresses only unless `allow_private` says otherwise.

    A connection must be there within `connect_seconds` and the whole file within `total_seconds`.
    """

    def __init__(self, *, allow_private: bool, connect_seconds: float, total_seconds: float) -> None:
        self._allow_private = allow_private
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, source: str, known: Origin | None = None) -> Fetched:
        """Get a file, unless it is the one that is `known`.

        Up to `MAX_REDIRECTS` redirects are followed. Cancelling closes the connection. Raises `SoundError`.
        """
        shown = shown_source(source)
        url = _checked(source, shown)
        with self._translated(shown):
            async with asyncio.timeout(self._total_seconds):
                return await self._fetch(url, shown, known)

    async def close(self) -> None:
        """Close the connections; what is being fetched fails."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _fetch(self, url: URL, shown: str, known: Origin | None) -> Fetched:
        """Get a file, over redirects if need be. Each connection is checked anew."""
        for _ in range(MAX_REDIRECTS + 1):
            asked = known.validators if known is not None and known.url == str(url) else {}
            async with self._open().get(url, headers={**_HEADERS, **asked}, allow_redirects=False) as response:
                try:
                    if response.status in _REDIRECTS and "Location" in response.headers:
                        url = _checked(response.headers["Location"], shown, base=url)
                        continue
                    if response.status == 304 and asked:
                        return Fetched(None, "", _origin(url, response.headers))
                    if response.status != 200:
                        raise SoundError(
                            f"the sound at {shown} cannot be had: status {response.status}; check its URL",
                            code="sound_unreachable",
                        )
                    file = await _body(response, shown)
                    content_type = response.headers.get("Content-Type", "")
                    return Fetched(file, content_type, _origin(url, response.headers))
                finally:
                    if not response.content.at_eof():
                        response.close()
        raise SoundError(
            f"the sound at {shown} is redirected more than {MAX_REDIRECTS} times: give its final URL",
            code="sound_refused",
        )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connect = self._connect_seconds
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, socket_factory=None if self._allow_private else _open_public_socket
                ),
                timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect),
                # What one call is given must not show up in another.
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                # Behind a proxy of the environment, addresses could not be checked.
                trust_env=False,
            )
        return self._session

    @contextmanager
    def _translated(self, shown: str) -> Iterator[None]:
        """Turn what aiohttp raises into `SoundError`."""

        def failed(what: str, code: SoundCode = "sound_unreachable") -> SoundError:
            return SoundError(f"the sound at {shown} cannot be had: {what}; {_ELSEWHERE}", code=code)

        try:
            yield
        except aiohttp.ConnectionTimeoutError as error:
            raise failed(f"no connection within {self._connect_seconds:g} s") from error
        except TimeoutError as error:
            raise failed(f"it was not there within {self._total_seconds:g} s") from error
        except aiohttp.ClientConnectorError as error:
            if _PRIVATE in str(error.os_error):
                raise failed(_PRIVATE, "sound_refused") from error
            raise failed(f"no connection ({error.os_error.strerror or error.os_error})") from error
        except (aiohttp.ClientError, OSError) as error:
            raise failed(f"the connection failed ({type(error).__name__})") from error


def shown_source(source: str) -> str:
    """What a log and the agent may see of a source: a URL without user, password and query, which may be secret."""
    if "://" not in source:
        return source[:200]
    try:
        return str(URL(source).with_user(None).with_query(None).with_fragment(None))[:200]
    except ValueError:
        return "a URL that cannot be read"


def _checked(source: str, shown: str, base: URL | None = None) -> URL:
    """Read a URL, or where `base` redirects to. Raises `SoundError` if it is none of http(s)."""
    try:
        url = URL(source) if base is None else base.join(URL(source))
        if url.scheme in {"http", "https"} and url.host:
            return url
    except ValueError:
        pass
    leads = "is" if base is None else "redirects to"
    raise SoundError(f"the sound at {shown} {leads} no http(s) URL: {_ELSEWHERE}", code="sound_refused")


async def _body(response: aiohttp.ClientResponse, shown: str) -> bytes:
    """Read an answer, as far as it may go."""
    file = bytearray()
    if (response.content_length or 0) <= MAX_FILE_BYTES:
        async for data in response.content.iter_any():
            file += data
            if len(file) > MAX_FILE_BYTES:
                break
        else:
            return bytes(file)
    raise _too_large(f"the sound at {shown}")


def _origin(url: URL, headers: Mapping[str, str]) -> Origin:
    control = {*headers.get("Cache-Control", "").lower().replace(" ", "").split(",")}
    asking = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))
    return Origin(
        url=str(url),
        validators={ask: headers[told] for told, ask in asking if told in headers},
        may_keep="no-store" not in control,
        must_ask=bool(control & {"no-cache", "max-age=0"}),
    )


def read_file(folder: Path, source: str, known: Stamp | None) -> tuple[Stamp, bytes | None]:
    """Return the stamp of a file below `folder` and what is in it; None: that is known. Waits for the disk."""
    try:
        root = folder.resolve()
        path = (root / source).resolve()  # Follows symbolic links: what counts is where they lead.
        if not path.is_relative_to(root):
            raise SoundError(
                f"cannot play {source!r}: it lies outside the sounds folder {folder}; put the file into it",
                code="sound_refused",
            )
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # Reading a pipe would wait for ever.
            raise SoundError(f"cannot play {source!r}: it is no file", code="sound_refused")
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp == known:
            return stamp, None
        with path.open("rb") as opened:
            file = opened.read(MAX_FILE_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:  # Links in a circle are a RuntimeError before 3.13.
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise SoundError(
            f"cannot read the sound {source!r}: {reason}; sounds are looked for below {folder}",
            code="sound_unreachable",
        ) from error
    if len(file) > MAX_FILE_BYTES:
        raise _too_large(f"the sound {source!r}")
    return stamp, file


def _too_large(what: str) -> SoundError:
    return SoundError(
        f"{what} has more than {MAX_FILE_BYTES // 2**20} MiB: make it shorter, or mu-law at 8000 Hz",
        code="sound_refused",
    )


def _open_public_socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """Open a socket for the very address that is going to be connected to, if it is a public one.

    Names are resolved by then, and numbers in every notation stand here as they go to the system.
    """
    family, kind, protocol, _, address = info
    if not _is_public(str(address[0])):
        raise OSError(errno.EACCES, _PRIVATE)
    return socket.socket(family, kind, protocol)


def _is_public(address: str) -> bool:
    """Tell whether an IP address is one of the internet's; what cannot be read is not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        # Some addresses lead to the IPv4 address that they wrap.
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = IPv4Address(int(parsed) & 0xFFFFFFFF)
        parsed = inner or parsed
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved
