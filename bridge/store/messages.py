"""The sound of messages that callers left: a file for each, beside the call's recording."""

from __future__ import annotations

from pathlib import Path

from bridge.audio.wav import write_mulaw
from bridge.conversation.journal import MessageLeft
from bridge.store.folder import JOURNAL, MESSAGE
from bridge.store.journal_file import read_journal
from bridge.store.sealing import Keys, seal, sealed_name


def write_message(folder: Path, number: int, audio: bytes, keys: Keys) -> None:
    """Write what a caller said (mu-law, 8000 Hz) as message `number`; encrypted if there is a key.

    Blocks on the disk. Raises `OSError`; also where the call, and its folder, were erased meanwhile.
    """
    message = folder / MESSAGE.format(number=number)
    if keys.current is None:
        replace_file(message, write_mulaw(audio))
    else:
        seal(sealed_name(message), audio, keys.current, channels=1)


def elsewhere(folder: Path) -> list[MessageLeft]:
    """Return the messages of a call that the carrier has, to be kept here too: none where nothing is recorded.

    Blocks on the disk. Raises `OSError`, and `BridgeError` (`journal_unreadable`).
    """
    header, entries = read_journal(folder / JOURNAL)
    if header.recording == "off":
        return []
    return [entry for entry in entries if isinstance(entry, MessageLeft) and entry.url]


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it.

    It is not forced to the disk: the journal is, and what this is for can be made from it again.
    """
    half = path.with_name(f".{path.name}.part")
    half.write_bytes(content)
    half.replace(path)
