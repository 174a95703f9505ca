"""The list of tables that runs may be read from."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import DeploymentSettings, deployment
from clustering_tasks.settings.run import run_settings
from clustering_tasks.settings.source_tables import SourceTable
from stage4.source_tables.choice import chosen_table, with_choice

ARTICLES = {"conn_id": "news", "level": "documents", "table": "news.articles"}
PAGE = Path(__file__).parents[3] / "docs" / "DEPLOYMENT.md"


def listed(**tables: Any) -> dict[str, SourceTable]:
    return {name: SourceTable.model_validate(ARTICLES | own) for name, own in tables.items()}


def test_the_list_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE4_SOURCE_TABLES", json.dumps({"articles": ARTICLES}))
    [(name, table)] = DeploymentSettings(_env_file=None).source_tables.items()
    assert (name, table.table, table.shown) == ("articles", ("news", "articles"), "news.articles")
    assert table.columns == {"id": "id", "vector": "embedding"}


@pytest.mark.parametrize("table", ["articles", "a.b.c", ".b", "a.", ["a"], ["a", "b" * 64], "a.\0"])
def test_a_name_that_is_none_is_refused(table: Any) -> None:
    with pytest.raises(ValidationError, match="table"):
        listed(articles={"table": table})


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"level": "people"}, "known are documents"),
        ({"sql": "SELECT 1"}, "sql"),
        ({"cluster_id": None, "clusters": "a.b"}, "needs `cluster_id`"),
        ({"cluster_id": "id"}, "names the column id, which is read"),
        ({"fields": {"title": "cluster_id"}}, "names the column cluster_id, which is read"),
        ({"clusters": ["news", "articles"]}, "names the table itself"),
        ({"null_vectors": "zero"}, "null_vectors"),
        ({"conn_id": ""}, "conn_id"),
    ],
)
def test_a_wrong_entry_is_refused(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        listed(articles=own)


def test_a_level_has_one_default(monkeypatch: pytest.MonkeyPatch) -> None:
    two = {name: ARTICLES | {"default": True} for name in ("one", "other")}
    monkeypatch.setenv("STAGE4_SOURCE_TABLES", json.dumps(two))
    with pytest.raises(ValidationError, match="one and other are both the default of documents"):
        DeploymentSettings(_env_file=None)


@pytest.mark.parametrize(
    ("one", "other", "refused"),
    [
        ({}, {}, True),
        ({}, {"level_column": "kind"}, True),
        ({}, {"cluster_id": "story"}, False),
        ({}, {"cluster_id": None}, False),
        ({}, {"conn_id": "archive"}, False),
        ({"level_column": "kind"}, {"level_column": "kind"}, False),
    ],
)
def test_two_levels_do_not_write_the_same_rows(
    monkeypatch: pytest.MonkeyPatch, one: dict[str, Any], other: dict[str, Any], refused: bool
) -> None:
    two = {"one": ARTICLES | one, "other": ARTICLES | {"level": "events"} | other}
    monkeypatch.setenv("STAGE4_SOURCE_TABLES", json.dumps(two))
    if refused:
        with pytest.raises(ValidationError, match="one and other are of two levels"):
            DeploymentSettings(_env_file=None)
    else:
        assert len(DeploymentSettings(_env_file=None).source_tables) == 2


@pytest.mark.parametrize(
    ("settings", "level", "name"),
    [
        ({}, "documents", "usual"),
        ({}, "events", None),
        ({"input.source": "stage3"}, "documents", None),
        ({"input.source": "postgres"}, "documents", "usual"),
        ({"input.source": "postgres", "input.table": "other"}, "documents", "other"),
        ({"input.source": "postgres"}, "events", "only"),
    ],
)
def test_a_run_is_read_from_what_it_names_or_from_the_default(
    settings: dict[str, Any], level: str, name: str | None
) -> None:
    tables = listed(usual={"default": True}, other={}, only={"level": "events"})
    run = run_settings(settings)
    chosen = chosen_table(run, level, tables)
    assert (chosen.name if chosen else None) == name
    named = with_choice(run, chosen).input
    expected = ("postgres", name) if name else (run.input.source, None)
    assert (named.source, named.table) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input.source": "postgres"}, "name the table in input.table; listed for documents: a, b"),
        ({"input.source": "postgres", "input.table": "c"}, "input.table='c' is none that"),
        ({"input.source": "postgres", "input.table": "d"}, "lists for documents; .*: a, b"),
    ],
)
def test_what_is_not_listed_is_refused(settings: dict[str, Any], message: str) -> None:
    tables = listed(a={}, b={}, d={"level": "events"})
    with pytest.raises(SettingsError, match=message):
        chosen_table(run_settings(settings), "documents", tables)


def test_a_table_needs_the_source() -> None:
    with pytest.raises(SettingsError, match=r"input\.table=a needs input\.source=postgres"):
        run_settings({"input.table": "a"})


def test_the_page_describes_every_key_with_its_default() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition("\n## Tables as a source\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", table, re.MULTILINE)
    assert [name for name, _ in rows] == list(SourceTable.model_fields)
    for name, default in rows:
        field = SourceTable.model_fields[name]
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        shown = "required" if field.is_required() else json.dumps(value) if value else "none"
        if isinstance(value, bool):
            shown = str(value).lower()
        assert default.strip("`") == shown.strip('"'), name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": {"password": "hunter2"', "JSON"),
        ('{"a": {"password": "hunter2"}}', "a.password: Extra inputs are not permitted"),
        ('"hunter2"', "dictionary"),
    ],
)
def test_a_wrong_list_is_refused_by_name_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setenv("STAGE4_SOURCE_TABLES", text)
    deployment.cache_clear()
    with pytest.raises(SettingsError, match="STAGE4_SOURCE_TABLES: ") as refused:
        deployment()
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)
