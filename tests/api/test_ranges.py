"""Which part is asked for: against an independent reading of the RFC, and with whatever hypothesis makes up."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.api.ranges import NothingThereError, Part, part_asked_for


@pytest.mark.parametrize(
    ("header", "size", "part"),
    [
        (None, 10, None),
        ("bytes=0-9", 10, Part(0, 10)),
        ("bytes=0-", 10, Part(0, 10)),
        ("bytes=3-3", 10, Part(3, 1)),
        ("bytes=3-99", 10, Part(3, 7)),
        ("bytes=-4", 10, Part(6, 4)),
        ("bytes=-40", 10, Part(0, 10)),
        ("Bytes= 1-2 ", 10, Part(1, 2)),
        ("bytes=" + "9" * 5000 + "-", 10, "behind"),
        ("bytes=0-" + "9" * 5000, 10, Part(0, 10)),
        ("bytes=10-", 10, "behind"),
        ("bytes=-0", 10, "behind"),
        ("bytes=0-", 0, "behind"),
        ("bytes=-1", 0, "behind"),
        ("bytes=5-3", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=-", 10, None),
        ("bytes", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=0x1-2", 10, None),
        ("bytes=\u0661-", 10, None),
        ("items=0-1", 10, None),
        ("", 10, None),
    ],
)
def test_the_part_that_is_asked_for(header: str | None, size: int, part: Part | str | None) -> None:
    assert asked(header, size) == part


def asked(header: str | None, size: int) -> Part | str | None:
    try:
        return part_asked_for(header, size)
    except NothingThereError:
        return "behind"


def reference(header: str, content: bytes) -> bytes | str:
    """RFC 9110, 14.1.2, byte by byte: which of them are in the range. No arithmetic is shared with the code."""
    if (found := re.fullmatch(r"(?i)bytes=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", header)) is None:
        return content
    first, last, suffix = found.groups()
    if suffix is not None:
        kept = bytes(byte for place, byte in enumerate(content) if len(content) - place <= int(suffix))
        return kept or "behind"
    if last and int(last) < int(first):
        return content
    kept = bytes(
        byte for place, byte in enumerate(content) if int(first) <= place and (not last or place <= int(last))
    )
    return kept or "behind"


numbers = st.one_of(st.just(""), st.integers(0, 40).map(str), st.integers(0, 10**30).map(str))
headers = st.one_of(
    st.builds("bytes={}-{}".format, numbers, numbers),
    st.builds(
        "bytes={}{}-{}{}".format, st.sampled_from(["", " ", "\t"]), numbers, numbers, st.sampled_from(["", " "])
    ),
    st.text("bytesBYTES=-, 0123456789", max_size=20),
    st.text(max_size=20),
)


@given(headers, st.integers(0, 30))
@example("bytes=0-0,-1", 10)
def test_it_is_what_the_rfc_says(header: str, size: int) -> None:
    content = bytes(range(size))
    part = asked(header, size)
    if part is None:
        got: bytes | str = content
    elif isinstance(part, Part):
        assert part.length > 0
        got = content[part.start : part.start + part.length]
        assert len(got) == part.length, "it lies within"
        assert part.content_range(size) == f"bytes {got[0]}-{got[-1]}/{size}"
    else:
        got = part
    assert got == reference(header, content)
