"""Bytes in a row: what is read is what came, and what is held is no copy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.audio.chain import Chain


def test_a_piece_that_is_read_as_a_whole_is_no_copy() -> None:
    chain, first, second = Chain(), b"a" * 800, b"b" * 800
    chain.add(first)
    chain.add(second)
    assert chain.read(800, 1600) is second
    assert chain.read(700, 900) == b"a" * 100 + b"b" * 100
    assert chain.read(0, 800) is first


def test_whole_pieces_are_let_go_and_can_be_put_back() -> None:
    chain = Chain()
    for letter in (b"a", b"b", b"c"):
        chain.add(letter * 10)
    chain.let_go(25)
    assert (chain.begin, chain.end) == (20, 30)
    assert chain.read(0, 100) == b"c" * 10
    chain.prepend(b"B" * 5)
    assert chain.begin == 15
    assert chain.read(10, 22) == b"B" * 5 + b"cc"


@given(
    pieces=st.lists(st.binary(max_size=20)),
    begin=st.integers(0, 200),
    size=st.integers(0, 200),
    gone=st.integers(0, 200),
)
def test_reads_what_came(pieces: list[bytes], begin: int, size: int, gone: int) -> None:
    chain, whole = Chain(), b"".join(pieces)
    for piece in pieces:
        chain.add(piece)
    chain.let_go(gone)
    assert chain.begin <= min(gone, len(whole))
    assert chain.end == len(whole)
    assert chain.read(begin, begin + size) == whole[max(begin, chain.begin) : begin + size]
