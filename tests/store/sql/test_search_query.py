"""What people type to search: what it means, and that both databases take whatever comes of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bridge.store.sql.search_query import MOST_WORDS, parse_query
from bridge.store.sql.words import search_words
from tests.postgres import PostgresServer


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("open sunday", '("open" AND "sunday")'),
        ('"open on Sunday"', '("open on sunday")'),
        ("“open on”", '("open on")'),
        ("«open on»", '("open on")'),
        ('"open on', '("open on")'),
        ("open -sunday", '(("open") NOT ("sunday"))'),
        ('open -"on sunday" -x', '(("open") NOT ("on sunday" OR "x"))'),
        ("open NOT sunday", '(("open") NOT ("sunday"))'),
        ("open AND sunday", '("open" AND "sunday")'),
        ("open OR closed", '("open") OR ("closed")'),
        ("open | closed", '("open") OR ("closed")'),
        ("a b OR c -d", '("a" AND "b") OR (("c") NOT ("d"))'),
        ("open or closed", '("open" AND "or" AND "closed")'),
        ("OR open OR OR", '("open")'),
        ("resta*", '("resta" *)'),
        ('"blue do*"', '("blue do" *)'),
        ('"blue do"*', '("blue do" *)'),
        ("(open)", '("open")'),
        ("(open OR closed)", '("open") OR ("closed")'),
        ("(-open closed)", '(("closed") NOT ("open"))'),
        ("e-mail", '("e mail")'),
        ("555-1234", '("555 1234")'),
        ("open open OPEN", '("open")'),
        ('foo"bar do"', '("foo" AND "bar do")'),
        ("NEAR(a b, 5)", '("near a" AND "b" AND "5")'),
        ("speaker:agent", '("speaker agent")'),
        ("^x + y", '("x" AND "y")'),
        ("pizza", '("pizzzza")'),
        ("東京*", '("z06771 z04eac")'),
        ("a AND", '("a")'),
    ],
)
def test_what_is_meant(typed: str, meant: str) -> None:
    assert parse_query(typed).fts5() == meant


@pytest.mark.parametrize(
    "typed", ["", " ", "-", "*", '"', '""', "-sunday", "OR", "NOT", "-a OR -b", "()", "\0", "!?"]
)
def test_nothing_to_look_for(typed: str) -> None:
    assert not parse_query(typed)


def test_for_postgresql() -> None:
    query = parse_query('open "on sun*" -late OR -"not so" 東京')
    meant = "('open' & 'on' <-> 'sun':* & !('late')) | ('z06771' <-> 'z04eac' & !('not' <-> 'so'))"
    assert query.tsquery() == meant


def test_what_is_too_long_ends_early() -> None:
    query = parse_query(" ".join(f"w{number}" for number in range(1000)))
    assert len(query.alternatives[0].wanted) == MOST_WORDS
    assert len(parse_query("東" * 5000).alternatives[0].wanted[0].words) == MOST_WORDS


@pytest.mark.parametrize(
    ("typed", "text", "marked"),
    [
        ("OPEN", " We open; opening is open.", ["open", "open"]),
        ("open*", " We open; opening is open.", ["open", "opening", "open"]),
        ('"open on"', "open on, Open - ON; open", ["open on", "Open - ON"]),
        ("a b OR c -d", "a c a d", ["a", "c", "a"]),
        ("東京 京都", "東京都", ["東京都"]),
        ("cafe", "Der Cafe\u0301-Besuch", ["Cafe"]),
        ("missing", "nothing of it", []),
    ],
)
def test_what_is_marked(typed: str, text: str, marked: list[str]) -> None:
    assert [text[start:end] for start, end in parse_query(typed).marks(text)] == marked


# --- Against the databases ---

WORDS = st.sampled_from(
    ["a", "b", "open", "opening", "o", "é", "z", "zz", "東", "京", "😀", "1", "1e5", "12ab", "x_y"]
)
SIGNS = st.sampled_from(
    [
        "OR",
        "AND",
        "NOT",
        "NEAR",
        "-",
        "*",
        '"',
        "(",
        ")",
        ":",
        "^",
        "+",
        "'",
        "\\",
        "\0",
        "|",
        "&",
        "!",
        "<->",
        "“",
        "\n",
    ]
)
GAPS = st.sampled_from([" ", "", " ", " "])
QUERIES = st.one_of(
    st.lists(st.tuples(st.one_of(WORDS, SIGNS), GAPS), max_size=14).map(
        lambda parts: "".join(word + gap for word, gap in parts)
    ),
    st.text(max_size=60),
)
TEXTS = st.one_of(st.lists(WORDS, max_size=10).map(" ".join), st.text(max_size=60))
RUBBISH = [
    '"' * 5000 + "a",
    "(" * 10_000,
    "-" * 10_000,
    "a OR " * 2000,
    'NOT "a" AND ' * 800,
    "a* " * 3000,
    "\0" * 10_000,
    "😀" * 10_000,
    "NEAR/2(" * 1000,
    "'; DROP TABLE turns; --",
    "\ud800 a",
    "a" * 10_000,
    "".join(map(chr, range(1, 10_000))),
]


@pytest.fixture(scope="module")
def fts5() -> Iterator[Callable[[str, str], bool]]:
    """Whether SQLite finds a text."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE kept USING fts5(words, tokenize='ascii')")

    def find(text: str, query: str) -> bool:
        connection.execute("DELETE FROM kept")
        connection.execute("INSERT INTO kept VALUES (?)", (search_words(text),))
        return bool(connection.execute("SELECT 1 FROM kept WHERE kept MATCH ?", (query,)).fetchall())

    yield find
    connection.close()


@pytest.fixture(scope="module")
def tsearch(postgres: PostgresServer) -> Iterator[Callable[[str, str], bool]]:
    """Whether PostgreSQL finds a text; also holds it to the words that it was given."""
    statement = text(
        "SELECT v @@ CAST(:query AS tsquery), tsvector_to_array(v) FROM to_tsvector('simple', :kept) AS v"
    )
    with asyncio.Runner() as runner:
        engine = create_async_engine(postgres.new_database().replace("postgresql:", "postgresql+asyncpg:"))
        connection = runner.run(_connected(engine))

        def find(said: str, query: str) -> bool:
            kept = search_words(said)
            answer = runner.run(connection.execute(statement, {"kept": kept, "query": query}))
            ((found, lexemes),) = answer.all()
            assert set(lexemes) == set(kept.split())
            return bool(found)

        yield find
        runner.run(connection.close())
        runner.run(engine.dispose())


async def _connected(engine: AsyncEngine) -> AsyncConnection:
    return await engine.connect()


MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(TEXTS, QUERIES)
def test_sqlite_finds_what_is_meant(fts5: Callable[[str, str], bool], text: str, typed: str) -> None:
    query = parse_query(typed)
    if query:
        assert fts5(text, query.fts5()) == query.matches(text)


@MANY
@given(TEXTS, QUERIES)
def test_postgresql_finds_what_is_meant(tsearch: Callable[[str, str], bool], text: str, typed: str) -> None:
    query = parse_query(typed)
    if query:
        assert tsearch(text, query.tsquery()) == query.matches(text)


@pytest.mark.parametrize("typed", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_no_error(
    fts5: Callable[[str, str], bool], tsearch: Callable[[str, str], bool], typed: str
) -> None:
    query = parse_query(typed)
    if query:
        assert fts5(typed, query.fts5()) == tsearch(typed, query.tsquery()) == query.matches(typed)


@given(st.text(max_size=80), QUERIES)
def test_marks_are_in_order_and_only_where_something_was_meant(text: str, typed: str) -> None:
    query = parse_query(typed)
    marks = query.marks(text)
    assert all(start < end for start, end in marks)
    assert all(one[1] <= two[0] for one, two in pairwise(marks))
    assert bool(marks) or not query.matches(text)
