"""What is thrown at a parser: noise, JSON of any shape, and good messages with something wrong about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

_ODD_NUMBERS = (0, -1, 1e308, -1e308, 2**31, 2**63, 2**64, 10**40, -(10**40), 0.1)
_ODD_TEXTS = ("", "\x00", "\ud800", "ÿ", "😀", "9" * 40, "9" * 5000, "-1", "NaN", "1e999", " ", "\n", "a" * 70_000)
_DEEP = ("[" * 3000, "{" * 3000, '{"a":' * 3000)
_SHAPES = ("[" * 200, "{" * 200, '{"a":' * 200, '"', "[1,", "{", "null", "NaN", "1e999", "-", "\ufeff{}")

leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(_ODD_NUMBERS),
    st.sampled_from(_ODD_TEXTS),
)
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to everything inside a value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _paths(inner, (*path, key))
    return found


def _changed(value: Any, path: tuple[Any, ...], change: Any) -> Any:
    """Return a copy of a value in which something lies at a path: `change` gets what lay there."""
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _changed(copy[path[0]], path[1:], change)
    return copy


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[Any]) -> Any:
    """A good value, with up to three things in it that are something else, missing, or more than should be."""
    value = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(_paths(value)))
        what = draw(st.sampled_from(["other", "other", "dropped", "more", "listed"]))
        if what == "dropped" and path and isinstance(path[-1], str):
            value = _changed(value, path[:-1], lambda it, key=path[-1]: {k: v for k, v in it.items() if k != key})
        elif what == "more":
            key, new = draw(st.text(max_size=10)), draw(values)
            value = _changed(
                value, path, lambda it, k=key, n=new: {**it, k: n} if isinstance(it, dict) else [it, n]
            )
        elif what == "listed":
            value = _changed(value, path, lambda it: [it, it])
        else:
            new = draw(leaves | values)
            value = _changed(value, path, lambda _, n=new: n)
    return value


@st.composite
def cut(draw: st.DrawFn, texts: st.SearchStrategy[bytes]) -> bytes:
    """A text that is cut off, or has other bytes somewhere."""
    text = draw(texts)
    if not text:
        return text
    at = draw(st.integers(0, len(text) - 1))
    match draw(st.sampled_from(["cut", "bytes", "twice", "gone"])):
        case "cut":
            return text[:at]
        case "bytes":
            return text[:at] + draw(st.binary(min_size=1, max_size=6)) + text[at + 1 :]
        case "twice":
            return text[:at] + text[at:] * 2
        case _:
            return text[:at] + text[at + 1 + draw(st.integers(0, 8)) :]


def as_json(value: Any) -> bytes:
    """Return a value as JSON, with what JSON has no words for as Python writes it."""
    return json.dumps(value, ensure_ascii=bool(hash(str(value)) & 1)).encode("utf-8", "surrogatepass")


def messages(seeds: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """JSON messages of a protocol, most of them with something wrong."""
    good = damaged(seeds).map(as_json)
    noise = st.binary(max_size=60) | st.sampled_from((*_DEEP, *_SHAPES)).map(lambda text: text.encode())
    return st.one_of(good, good, cut(good), values.map(as_json), noise)


def texts(seeds: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Files that people write: good ones with something wrong, lines mixed up, and noise."""
    whole = st.sampled_from(seeds).map(str.encode)
    lines = [line for seed in seeds for line in seed.splitlines(keepends=True)]
    mixed = st.lists(st.sampled_from(lines), max_size=14).map(lambda some: "".join(some).encode())
    shapes = st.sampled_from(_SHAPES).map(lambda text: text.encode("utf-8", "replace"))
    return st.one_of(cut(whole), cut(cut(whole)), mixed, cut(mixed), st.text(max_size=80).map(_encoded), shapes)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Return the bytes cut at these places, as a network may deliver them."""
    places = sorted({min(abs(at) % (len(data) + 1), len(data)) for at in cuts})
    bounds = [0, *places, len(data)]
    return [data[left:right] for left, right in pairwise(bounds)]
