"""The files that browsers are given, read once: their types, names of their content, and a packed copy."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""All that there is; a file of another kind is not given out."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, ready to be sent."""

    content_type: str
    body: bytes
    packed: bytes
    """The same by gzip."""
    etag: str
    """Names the content, in quotes; of the packed copy see `packed_etag`."""

    @property
    def packed_etag(self) -> str:
        """Names the packed content: two ways to send it must not share a name."""
        return f'{self.etag[:-1]}-gzip"'


def read_files(folder: Path = FOLDER) -> Mapping[str, StaticFile]:
    """Return all files below `folder` by their path there, with / between its parts.

    Reads the disk: call it off the event loop. Raises OSError when the installation is damaged.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        content_type = _TYPES.get(path.suffix)
        if content_type is not None and path.is_file():
            found[path.relative_to(folder).as_posix()] = _ready(content_type, path.read_bytes())
    return found


def _ready(content_type: str, body: bytes) -> StaticFile:
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    return StaticFile(content_type, body, gzip.compress(body, mtime=0), etag)
