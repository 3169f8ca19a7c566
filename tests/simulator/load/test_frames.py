"""Frames against an independent implementation of WebSocket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from bridge.simulator.load import frames


@pytest.mark.parametrize("length", [0, 1, 125, 126, 300, 65_535, 65_536])
def test_a_client_frame_is_read_by_others(length: int) -> None:
    other = FrameProtocol(client=False, extensions=[])
    other.receive_bytes(frames.client_frame(b"x" * length))
    text = "".join(str(frame.payload) for frame in other.received_frames())
    assert text == "x" * length


@pytest.mark.parametrize("length", [0, 125, 126, 70_000])
def test_a_server_frame_is_read_by_others(length: int) -> None:
    other = FrameProtocol(client=True, extensions=[])
    other.receive_bytes(frames.server_frame(b"y" * length, frames.BINARY))
    assert (
        b"".join(
            payload for frame in other.received_frames() if isinstance(payload := frame.payload, bytes | bytearray)
        )
        == b"y" * length
    )


def test_the_prepared_heads_are_those_of_whole_frames() -> None:
    for length, head in enumerate(frames.CLIENT_TEXT_HEADS):
        assert head + b"z" * length == frames.client_frame(b"z" * length)


@given(payloads=st.lists(st.binary(max_size=200), max_size=6), cut=st.integers(1, 40), masked=st.booleans())
def test_messages_are_read_however_the_bytes_come(payloads: list[bytes], cut: int, masked: bool) -> None:
    other = FrameProtocol(client=masked, extensions=[])  # as a client it masks, with a key by chance
    sent = b"".join(other.send_data(payload, fin=True) for payload in payloads)
    reader = frames.FrameReader()
    found = [message for at in range(0, len(sent), cut) for message in reader.feed(sent[at : at + cut])]
    assert found == [(frames.BINARY, payload) for payload in payloads]


def test_fragments_are_joined_and_control_frames_between_them_are_told() -> None:
    other = FrameProtocol(client=True, extensions=[])
    sent = other.send_data("ab", fin=False) + other.ping(b"?") + other.send_data("cd", fin=True)
    assert frames.FrameReader().feed(bytes(sent)) == [(frames.PING, b"?"), (frames.TEXT, b"abcd")]


def test_the_servers_answer_to_a_key_is_that_of_the_standard() -> None:
    assert frames.accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
