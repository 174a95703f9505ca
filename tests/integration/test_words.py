"""Full-text queries on a real PostgreSQL: of the last word the beginning is enough."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.sql import SQL, Composable, Literal

from stage4.api.queries import words
from stage4.database import schema
from stage4.database.load import load_run
from tests.integration.conftest import Results, Server
from tests.integration.label_files import Label, report_of

TEXT = "Prime-Minister Ana O'Brien visits Warsaw before the war crimes tribunal, F-16 example.com"


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[psycopg.Connection]:
    with server.connect() as connection:
        yield connection


def ask(connection: psycopg.Connection, statement: Composable, text: str) -> Any:
    row = connection.execute(SQL("SELECT ") + statement, words.values(text)).fetchone()
    assert row is not None
    return row[0]


def written(connection: psycopg.Connection, query: Composable, text: str) -> str:
    return str(ask(connection, query + SQL("::text"), text))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("summ", "'summ':*"),
        ("g7 summ", "'g7' & 'summ':*"),
        ("g7 summ ", "'g7' & 'summ':*"),
        ('"prime minister"', "'prime' <-> 'minister'"),
        ('"war"', "'war'"),
        ('"prime min', "'prime' <-> 'min':*"),
        ('"g7 summit" spo', "'g7' <-> 'summit' & 'spo':*"),
        ("war or pea", "'war' | 'pea':*"),
        ("war crimes or pea", "'war' & 'crimes' | 'pea':*"),
        ("war or", "'war' & 'or':*"),
        ("war -spo", "'war' & !'spo'"),
        ("war - spo", "'war' & !'spo'"),
        ('war -"spo', "'war' & !'spo'"),
        ("-prime-min", "!( 'prime-min' <-> 'prime' <-> 'min' )"),
        ("- prime-min", "!( 'prime-min' <-> 'prime' <-> 'min' )"),
        ('-"prime min', "!( 'prime' <-> 'min' )"),
        ("war -sports cri", "'war' & !'sports' & 'cri':*"),
        ("prime-min", "'prime-min':* <-> 'prime':* <-> 'min':*"),
        ("war:*", "'war':*"),
        ("war !peace", "'war' & 'peace':*"),
        ("' \" \\ ( & | ! <-> :*", ""),
    ],
)
def test_the_last_word_alone_may_be_a_beginning(
    database: psycopg.Connection, text: str, query: str
) -> None:
    assert written(database, words.begun_words(), text) == query


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("wars", True),
        ("warsaw", True),
        ('"wars"', False),
        ("wars tribunal", False),
        ("tribunal wars", True),
        ("prime-min", True),
        ("prime min", True),
        ('"minister an', True),
        ('"prime an', False),
        ("o'b", True),
        ("f-1", True),
        ("example.c", True),
        ("tribunal -pea", True),
        ("tribunal -war", False),
        ("-war trib", False),
        ("peace or trib", True),
    ],
)
def test_a_text_fits_by_the_beginning_of_a_word(
    database: psycopg.Connection, text: str, fits: bool
) -> None:
    search = SQL("to_tsvector({}, {}) @@ ").format(
        Literal(schema.SEARCH_CONFIGURATION), Literal(TEXT)
    )
    assert ask(database, search + words.begun_words(), text) is fits


HOSTILE = st.text(
    st.sampled_from("""ab1 "'-!|&():*<>\\/.,@_%{}é日🦊""")
    | st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]),
    min_size=1,
    max_size=40,
)


@given(text=HOSTILE)
def test_whatever_is_typed_is_the_same_query_but_for_the_beginning(
    database: psycopg.Connection, text: str
) -> None:
    whole, begun = (
        written(database, query, text) for query in (words.whole_words(), words.begun_words())
    )
    assert begun.replace("':*", "'") == whole
    if begun != whole:
        assert begun.endswith("':*")


def test_a_beginning_is_found_by_the_index(results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path, clusters=300, size=2).write()
    table = schema.partition("clusters", load_run(label["files"], report_of(label))["load_id"])
    query = SQL("SELECT cluster_id FROM {} WHERE search @@ {}").format(table, words.begun_words())
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute("SET enable_seqscan = off")
        values = words.values("leaders hiro")
        plan = str(connection.execute(SQL("EXPLAIN ") + query, values).fetchall())
        assert len(connection.execute(query, values).fetchall()) == 300
    assert "search_idx" in plan
    assert "'hiro'':*" in plan, "known to the planner"
