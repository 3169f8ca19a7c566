"""Encrypted recordings: whatever part is read, wherever the writer died, whoever laid hands on the file."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.audio.wav import header, write_mulaw
from bridge.errors import BridgeError, MissingExtraError, SettingsError
from bridge.store import sealing
from bridge.store.sealing import PIECE, Keys, SealedFile, mend_sealed, seal, sealed_name
from bridge.store.vault import open_recording, open_sound
from tests.store import wav_reader

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
KEYS = Keys(KEY)
HEAD = len(header(channels=2, data_bytes=0))
AUDIO = bytes(at * 7 % 251 for at in range(5 * PIECE + 1234))
SEALED_PIECE = PIECE + 28
FIRST = 33
"""Where the first piece begins."""


def sealed(folder: Path, audio: bytes = AUDIO, key: bytes = KEY, *, finish: bool = True) -> Path:
    """A call's folder with an encrypted recording."""
    folder.mkdir(parents=True, exist_ok=True)
    file = SealedFile(sealed_name(folder / "recording.wav"), key, channels=2)
    for at in range(0, len(audio), 3000):
        file.append(audio[at : at + 3000])
    if finish:
        file.finish()
    file.close()
    return folder / "recording.wav.enc"


@cache
def whole() -> bytes:
    return header(channels=2, data_bytes=len(AUDIO)) + AUDIO


def test_it_is_the_wav_that_was_written_and_the_file_shows_nothing_of_it(tmp_path: Path) -> None:
    path = sealed(tmp_path / "call")
    with open_recording(path.parent, KEYS) as recording:
        assert (recording.encrypted, recording.complete, recording.channels) == (True, True, 2)
        assert recording.size == len(whole())
        assert recording.frames == len(AUDIO) // 2
        assert recording.read(0, recording.size) == whole()
        assert wav_reader.read(recording.read(0, 1 << 30)).left == AUDIO[::2]
    content = path.read_bytes()
    assert not any(AUDIO[at : at + 16] in content for at in range(0, len(AUDIO) - 16, 16))
    assert b"RIFF" not in content


def test_the_same_sound_never_gives_the_same_file(tmp_path: Path) -> None:
    one, two = sealed(tmp_path / "a" / "call"), sealed(tmp_path / "b" / "call")
    pieces = [path.read_bytes()[FIRST : FIRST + 100] for path in (one, two)]
    assert pieces[0] != pieces[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sealed(tmp_path_factory.mktemp("sealed") / "call").parent


@given(start=st.integers(-5, len(AUDIO) + 200), length=st.integers(-5, 3 * PIECE))
def test_any_range_is_that_of_the_plain_file(folder: Path, start: int, length: int) -> None:
    with open_recording(folder, KEYS) as recording:
        first = max(0, start)
        assert recording.read(start, length) == whole()[first : first + max(0, length)]


@given(first=st.integers(0, len(AUDIO)), count=st.integers(0, 2 * PIECE))
def test_any_frames_are_those_that_were_written(folder: Path, first: int, count: int) -> None:
    with open_recording(folder, KEYS) as recording:
        assert recording.audio(first, count) == AUDIO[2 * first : 2 * (first + count)]


@given(start=st.integers(0, 500), length=st.integers(0, 500), size=st.sampled_from([0, 1, 2, 333, 334]))
@settings(max_examples=50)
def test_a_plain_file_is_read_the_same_way(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int, size: int
) -> None:
    folder = tmp_path_factory.mktemp("plain")
    content = write_mulaw(AUDIO[:size])
    (folder / "message-3.wav").write_bytes(content)
    with open_recording(folder, message=3) as recording:
        assert not recording.encrypted
        assert recording.frames == size
        assert recording.read(start, length) == content[start : start + length]


@given(cut=st.integers(0, FIRST + 6 * SEALED_PIECE))
@settings(max_examples=150, deadline=None)
def test_a_file_cut_anywhere_holds_every_whole_piece_and_can_be_mended(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    call = tmp_path_factory.mktemp("cut") / "call"
    call.mkdir()
    path = call / "recording.wav.enc"
    content = (folder / path.name).read_bytes()[:cut]
    path.write_bytes(content)
    if cut < FIRST:
        with pytest.raises(BridgeError, match="no encrypted recording"):
            open_recording(call, KEYS)
        return
    uncut = cut >= FIRST + 5 * SEALED_PIECE + 28 + 1234
    kept = AUDIO if uncut else AUDIO[: (cut - FIRST) // SEALED_PIECE * PIECE]
    for _ in range(2):
        with open_recording(call, KEYS) as recording:
            assert recording.audio(0, len(AUDIO)) == kept
        mend_sealed(path, KEYS)
        with open_recording(call, KEYS) as recording:
            assert recording.complete


def test_one_that_is_written_still_can_be_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = sealed(tmp_path / "call", finish=False)
    with open_recording(path.parent, KEYS) as recording:
        assert not recording.complete
        assert recording.audio(0, 1 << 20) == AUDIO[: 5 * PIECE]


@given(at=st.integers(FIRST, FIRST + 5 * SEALED_PIECE + 28 + 1233), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_a_changed_bit_is_noticed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    call = tmp_path_factory.mktemp("changed") / "call"
    call.mkdir()
    content = bytearray((folder / "recording.wav.enc").read_bytes())
    content[at] ^= 1 << bit
    (call / "recording.wav.enc").write_bytes(content)
    assert noticed(call)


def noticed(call: Path) -> bool:
    """Whether reading all of it fails, or tells that its end is missing."""
    try:
        with open_recording(call, KEYS) as recording:
            read = recording.audio(0, 1 << 20)
            assert AUDIO.startswith(read)  # whatever is given out is what was written there
            return not recording.complete
    except BridgeError as error:
        assert error.code == "recording_damaged"
        return True


def pieces(content: bytes) -> list[bytes]:
    return [content[at : at + SEALED_PIECE] for at in range(FIRST, len(content), SEALED_PIECE)]


@pytest.mark.parametrize(
    "order",
    [[1, 0, 2, 3, 4, 5], [0, 2, 3, 4, 5], [0, 1, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [5, 1, 2, 3, 4, 0]],
    ids=["swapped", "left out", "doubled", "end cut off", "end first"],
)
def test_pieces_in_another_order_are_noticed(tmp_path: Path, order: list[int]) -> None:
    path = sealed(tmp_path / "call")
    content = path.read_bytes()
    parts = pieces(content)
    path.write_bytes(content[:FIRST] + b"".join(parts[number] for number in order))
    assert noticed(path.parent)


def test_pieces_and_files_of_other_calls_are_noticed(tmp_path: Path) -> None:
    one, two = sealed(tmp_path / "call-1"), sealed(tmp_path / "call-2")
    content = one.read_bytes()
    one.write_bytes(content[:FIRST] + pieces(two.read_bytes())[0] + content[FIRST + SEALED_PIECE :])
    assert noticed(one.parent)
    shutil.copy(two, one)
    assert noticed(one.parent)


def test_a_folder_may_be_moved(tmp_path: Path) -> None:
    path = sealed(tmp_path / "2026-03-01" / "call")
    moved = tmp_path / "archive" / "call"
    moved.parent.mkdir()
    path.parent.rename(moved)
    with open_recording(moved, KEYS) as recording:
        assert recording.read(0, 1 << 30) == whole()


def test_old_keys_open_what_was_written_with_them_and_others_do_not(tmp_path: Path) -> None:
    path = sealed(tmp_path / "call", key=OTHER)
    with open_recording(path.parent, Keys(KEY, (bytes(32), OTHER))) as recording:
        assert recording.complete
    for keys in (KEYS, Keys()):
        with pytest.raises(
            BridgeError, match=r"not in the settings: put it into store\.old_encryption_keys"
        ) as told:
            open_recording(path.parent, keys)
        assert told.value.code == "recording_locked"
        assert base64.b64encode(OTHER).decode() not in told.value.message


def test_a_newer_format_is_told_apart(tmp_path: Path) -> None:
    path = sealed(tmp_path / "call")
    path.write_bytes(b"PHBSND\x00\x02" + path.read_bytes()[8:])
    with pytest.raises(BridgeError, match="newer phone-bridge"):
        open_recording(path.parent, KEYS)


def test_messages_are_sealed_at_once_and_in_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    call = tmp_path / "call"
    call.mkdir()
    target = sealed_name(call / "message-1.wav")
    for audio in (b"\x55" * 5, b"\x33" * 20_001):
        seal(target, audio, KEY, channels=1)
        with open_recording(call, KEYS, message=1) as recording:
            assert recording.read(0, 1 << 20) == write_mulaw(audio)
    assert [path.name for path in call.iterdir()] == ["message-1.wav.enc"]


def test_nothing_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_recording(tmp_path, KEYS)
    with pytest.raises(FileNotFoundError):
        open_sound(tmp_path / "recording.wav.enc", KEYS, channels=2)


@pytest.mark.parametrize("text", ["secret", "A" * 44, base64.b64encode(bytes(16)).decode(), "ä" * 43 + "="])
def test_what_is_no_key_is_told_with_the_remedy_and_without_itself(text: str) -> None:
    with pytest.raises(SettingsError, match=r"store\.encryption_key .* openssl rand -base64 32") as told:
        Keys.read(text)
    assert text not in told.value.message
    with pytest.raises(SettingsError, match="old_encryption_keys"):
        Keys.read("", [text])


def test_keys_come_from_texts_and_do_not_show() -> None:
    text = base64.b64encode(os.urandom(32)).decode()
    keys = Keys.read(f" {text}\n", [base64.b64encode(KEY).decode()])
    assert keys.old == (KEY,)
    assert text not in repr(keys)
    assert "\\x01" not in repr(keys)
    assert Keys.read("") == Keys()


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"phone-bridge\[encryption\]"):
        Keys.read(base64.b64encode(KEY).decode())


def test_it_is_what_its_description_says(tmp_path: Path) -> None:
    """A reader of its own, from the description alone."""
    import hmac
    from hashlib import sha256

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    path = sealed(tmp_path / "call")
    content = path.read_bytes()
    salt = content[16:32]
    extracted = hmac.new(salt, KEY, sha256).digest()
    file_key = hmac.new(extracted, b"phone-bridge recording\x01", sha256).digest()
    piece = pieces(content)[1]
    bound = (1).to_bytes(8, "big") + b"\0" + content[:FIRST] + b"call/recording.wav.enc"
    assert AESGCM(file_key).decrypt(piece[:12], piece[12:], bound) == AUDIO[PIECE : 2 * PIECE]


def test_reading_the_settings_needs_no_cryptography() -> None:
    code = "import sys, bridge.store.files; assert 'cryptography' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_mark_has_eight_bytes() -> None:
    assert sealing._HEAD_BYTES == FIRST
