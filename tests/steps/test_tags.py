"""Tags from Stage 3's fields and from a list to the records, counted again from the files."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from upath import UPath

from clustering_tasks.workspace.artefacts import Result
from tests.conftest import CommandLine, Workbench
from tests.stage3_folder import blobs, plain_metadata

Json = dict[str, Any]
HDBSCAN = {"min_cluster_size": 5, "min_samples": 5}
LISTED = ["topic/climate = climate change | global warming", "topic/sport = world cup"]


def documents(workbench: Workbench, changes: dict[int, Json] | None = None) -> list[str]:
    """Three stories of ten, and four documents alone; of the first the last two lack what the
    others have; returns the vector ids."""
    metadata = [
        plain_metadata("documents", n)
        | {"categories": [f"Desk {n // 10}"], "tags": ["trade", f"Story {n // 10}"]}
        for n in range(34)
    ]
    metadata[8] |= {"categories": [], "tags": None}
    metadata[9] |= {"categories": "Letters", "tags": "STORY 0; letters"}
    for n, fields in (changes or {}).items():
        metadata[n] |= fields
    return workbench.stage3.write(
        "documents", blobs([10, 10, 10], noise=4, spread=0.03, seed=5), metadata
    )


def label(workbench: Workbench, job: str = "job", **settings: Any) -> Result:
    workbench.perform("documents", job, hdbscan=HDBSCAN, **settings)
    return workbench.start("documents", job, hdbscan=HDBSCAN, **settings).result("label")


def records(result: Result) -> list[Json]:
    lines = result.path("clusters_jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def report(result: Result) -> Json:
    read: Json = json.loads(result.path("report").read_bytes())
    return read


def members(result: Result) -> Any:
    table = pq.read_table(result.files["members_parquet"]).to_pandas()
    for name in ("metadata", "tags"):
        table[name] = table[name].map(json.loads)
    return table


def names(tags: list[Json]) -> list[tuple[str, str]]:
    return [(tag["category"], tag["tag"]) for tag in tags]


def story(found: list[Json], first: int) -> Json:
    """The record that holds a document."""
    (record,) = [one for one in found if f"doc_{first:04d}" in one["member_ids"]]
    return record


def test_members_get_what_their_cluster_bears_and_keep_what_stage_3_says(
    workbench: Workbench,
) -> None:
    documents(workbench)
    result = label(workbench)
    first = story(records(result), 0)
    found = {(tag["category"], tag["tag"]): tag for tag in first["tags"]}
    assert set(found) == {("category", "Desk 0"), ("tag", "trade"), ("tag", "Story 0")}
    assert found["category", "Desk 0"]["members"] == 8
    assert found["tag", "Story 0"]["members"] == 9  # in another case
    assert found["category", "Desk 0"]["conflicts"] == 1  # Letters
    got = [(each["id"], each["tag"], each["source"]) for each in first["member_tags"]]
    assert got == [
        ("doc_0008", "Desk 0", "cluster"),
        ("doc_0008", "Story 0", "cluster"),
        ("doc_0008", "trade", "cluster"),
        ("doc_0009", "trade", "cluster"),
    ]
    table = members(result).set_index("source_id")
    assert names(table.loc["doc_0008", "tags"]) == [
        ("category", "Desk 0"),
        ("tag", "Story 0"),
        ("tag", "trade"),
    ]
    assert table.loc["doc_0009", "metadata"]["tags"] == "STORY 0; letters"
    written = workbench.stage3.read_metadata("documents")["metadata_store"]
    for row in members(result).itertuples():
        assert row.metadata == written[row.vector_id]["metadata"]


def test_the_sums_are_those_of_another_count_over_the_files(workbench: Workbench) -> None:
    """By pandas, from the records and members alone: each tag of each cluster, and the report."""
    documents(workbench, {20: {"categories": ["Desk 1"]}, 31: {"categories": [], "tags": []}})
    result = label(workbench, tags={"min_confidence": 1e-6, "count": 50})
    table = members(result)
    own: Any = pd.DataFrame(
        [(row.source_id, *pair) for row in table.itertuples() for pair in stage3(row.metadata)],
        columns=["id", "category", "tag"],
    ).drop_duplicates()
    for record in records(result):
        probability: Any = pd.Series(record["member_probabilities"], record["member_ids"])
        of_members = own[own["id"].isin(record["member_ids"])]
        weight = (
            of_members["id"]
            .map(probability)
            .groupby([of_members["category"], of_members["tag"].str.lower()])
        )
        expected = (weight.sum() / probability.sum()).round(6)
        given = {(tag["category"], tag["tag"].lower()): tag["confidence"] for tag in record["tags"]}
        assert given == pytest.approx(expected.to_dict(), abs=1e-6)
        counts = {(tag["category"], tag["tag"].lower()): tag["members"] for tag in record["tags"]}
        assert counts == weight.size().to_dict()
        applied = Counter(each["tag"] for each in record["member_tags"])
        assert applied == {tag["tag"]: tag["applied"] for tag in record["tags"] if tag["applied"]}
        confidence = {tag["tag"]: tag["confidence"] for tag in record["tags"]}
        for each in record["member_tags"]:
            product = confidence[each["tag"]] * probability[each["id"]]
            assert each["confidence"] == pytest.approx(product, abs=1e-6)
            assert each["confidence"] >= 0.7
    figures = report(result)["tags"]
    got = table["tags"].map(len)
    bears = table["source_id"].isin(own["id"])
    assert figures["of_stage3"] == len(own)
    assert figures["propagated"] == got.sum() > 0
    assert figures["propagated_items"] == (got > 0).sum()
    assert figures["tagged"] == (bears | (got > 0)).sum() == 33
    assert figures["untagged"] == 1
    assert figures["coverage"] == pytest.approx(33 / 34)
    assert figures["per_item"] == pytest.approx((len(own) + got.sum()) / 34)
    assert figures["per_cluster"] == pytest.approx(
        sum(len(record["tags"]) for record in records(result)) / len(records(result))
    )
    conflicts = sum(tag["conflicts"] for record in records(result) for tag in record["tags"])
    assert figures["conflicts"] == report(result)["errors"]["conflicts"] == conflicts == 2
    assert report(result)["errors"]["total"] == 0  # a conflict is no failure
    assert {f"tags.{name}": value for name, value in figures.items()}.items() <= (
        result.metrics.items()
    )


def stage3(metadata: Json) -> Iterator[tuple[str, str]]:
    """What Stage 3 says, read another way."""
    for field, category in (("categories", "category"), ("tags", "tag")):
        value = metadata[field] or []
        for each in value.split("; ") if isinstance(value, str) else value:
            yield category, each


def test_the_list_takes_stage_3s_values_and_finds_its_phrases(workbench: Workbench) -> None:
    changes: dict[int, Json] = {
        n: {"title": f"Climate change: report {n}", "tags": []} for n in range(10, 15)
    }
    changes |= {n: {"tags": ["Global Warming"]} for n in range(15, 18)}
    changes |= {n: {"title": "The World Cup begins", "tags": []} for n in (19, 30)}
    documents(workbench, changes)
    result = label(workbench, tags={"listed": LISTED, "sources": ["tags", "text"]})
    second = story(records(result), 10)
    tag = second["tags"][0]
    assert (tag["category"], tag["tag"], tag["members"]) == ("topic", "climate", 8)
    assert ("tag", "Global Warming") not in names(second["tags"])
    table = members(result).set_index("source_id")["tags"]
    assert [each["source"] for each in table["doc_0010"]] == ["text"]
    assert [each["confidence"] for each in table["doc_0010"]] == [1.0]
    assert table["doc_0015"] == []  # Stage 3 says it
    assert names(table["doc_0018"]) == [("topic", "climate")]
    assert names(table["doc_0019"]) == [("topic", "sport")]  # its own text is another of the topic
    assert tag["conflicts"] == 1
    assert table["doc_0030"] == []  # an outlier, and the policy leaves it
    figures = report(result)["tags"]
    assert (figures["of_text"], figures["propagated"]) == (6, 4)  # 3 in the first story


@pytest.mark.parametrize(
    ("chosen", "tagged"),
    [
        ({"tags.outliers": "individual"}, True),
        ({"outliers.policy": "individual"}, True),
        ({"outliers.policy": "individual", "tags.outliers": "none"}, False),
        ({}, False),
    ],
)
def test_outliers_are_tagged_by_their_own_text_where_the_policy_says_so(
    workbench: Workbench, chosen: dict[str, str], tagged: bool
) -> None:
    documents(workbench, {30: {"title": "The World Cup begins", "tags": []}})
    settings: Json = {"tags.listed": LISTED, **chosen}
    result = label(workbench, **settings)
    table = members(result).set_index("source_id")
    assert table.loc["doc_0030", "status"] == "noise"
    assert (names(table.loc["doc_0030", "tags"]) == [("topic", "sport")]) is tagged
    assert report(result)["tags"]["of_text"] == int(tagged)


def test_without_tags_and_list_the_figures_are_null_not_zero(workbench: Workbench) -> None:
    workbench.stage3.write("entities", blobs([16, 16], noise=3))
    workbench.perform("entities", hdbscan=HDBSCAN)
    result = workbench.start("entities", hdbscan=HDBSCAN).result("label")
    assert set(report(result)["tags"].values()) == {None}
    assert report(result)["errors"]["conflicts"] is None
    assert {tuple(record["tags"]) for record in records(result)} == {()}
    workbench.perform("entities", "listed", hdbscan=HDBSCAN, tags={"listed": LISTED})
    listed = workbench.start("entities", "listed", hdbscan=HDBSCAN).result("label")
    assert report(listed)["tags"]["tagged"] == 0
    assert report(listed)["tags"]["untagged"] == 35


def test_the_domain_is_a_tag_of_every_level(workbench: Workbench) -> None:
    metadata: list[Json] = [{"domain": "health" if n < 9 else None} for n in range(10)]
    workbench.stage3.write("events", blobs([10], spread=0.02), metadata)
    workbench.perform("events", algorithm="agglomerative")
    found = records(workbench.start("events", algorithm="agglomerative").result("label"))
    (record,) = found
    assert names(record["tags"]) == [("domain", "health_medical")]
    assert [each["id"] for each in record["member_tags"]] == ["doc_0001_event_4"]


def test_filtered_items_do_not_count(workbench: Workbench) -> None:
    ids = documents(workbench)
    wanted = [name.removeprefix("doc_emb_") for name in ids[:20]]
    result = label(workbench, filter={"document_ids": wanted})
    figures = report(result)["tags"]
    assert figures["tagged"] + figures["untagged"] == 20


def test_again_nothing_changes_and_another_choice_takes_back_what_was_applied(
    workbench: Workbench, tmp_path: Path
) -> None:
    documents(workbench)
    first = label(workbench)
    again = label(replace(workbench, workspace=UPath(tmp_path / "other")))
    for name in ("clusters_jsonl", "members_parquet", "members_csv", "clusters_csv"):
        assert first.path(name).read_bytes() == again.path(name).read_bytes(), name
    run = workbench.start("documents", hdbscan=HDBSCAN)
    label(workbench)
    assert run.result("tag").reused
    strict = label(workbench, "strict", tags={"auto_apply_threshold": 1.0})
    assert report(strict)["tags"]["propagated"] == 0
    assert set(members(strict)["tags"].map(len)) == {0}
    assert members(strict)["metadata"].tolist() == members(first)["metadata"].tolist()
    assert report(strict)["tags"]["of_stage3"] == report(first)["tags"]["of_stage3"]


def test_the_command_line_takes_the_installations_list(
    workbench: Workbench, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clustering_tasks.settings.deployment import deployment

    documents(workbench, {n: {"title": "Climate change", "tags": []} for n in range(10, 20)})
    file = tmp_path / "tags.txt"
    file.write_text("\n".join(LISTED), "utf-8")
    monkeypatch.setenv("STAGE4_TAGS", str(file))
    deployment.cache_clear()
    done = cli(
        *("run", "--level", "documents", "--indices", workbench.stage3.path),
        *("--workspace", workbench.workspace, "--set", "input.dimension=16"),
    )
    deployment.cache_clear()
    read = json.loads(Path(done.result["report"]).read_bytes())
    assert read["settings"]["tags"]["listed"] == LISTED
    assert read["tags"]["of_text"] == 10
