"""Deleting a document: hidden at once, then gone everywhere, and gone for good."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dag import DagModel  # noqa: TID251 - the API server has the metadata database
from airflow.models.dagbundle import DagBundleModel  # noqa: TID251 - as above
from airflow.models.dagrun import DagRun  # noqa: TID251 - as above
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.utils.session import create_session
from sqlalchemy import select
from upath import UPath

from clustering_tasks.deleted_documents.tombstones import GONE_NAME
from clustering_tasks.pipeline import perform_steps
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.label import label
from clustering_tasks.steps.redact import records, rewriting
from clustering_tasks.steps.redact import redact as step
from clustering_tasks.workspace import storage
from clustering_tasks.workspace.artefacts import load_run
from stage4.deletions import hiding, progress, replacing
from stage4.redis_link import PREFIX
from stage4.tasks.delete_document import start_deletion
from stage4.tasks.stage5 import notify_deletion
from tests.contract import checking_receiver
from tests.integration.api.conftest import Api, bearer, serving
from tests.integration.api.deletion_fixtures import (
    DENSE,
    Installation,
    built,
    cluster_two_days,
    texts_of,
    vectors_of,
)
from tests.integration.api.redis_server import PROGRAM, running
from tests.integration.conftest import Results

pytestmark = pytest.mark.usefixtures("airflow_metadata")

REPO = Path(__file__).parents[3]
SECOND = "second"


@pytest.fixture(scope="module")
def original(template: Results, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Built once; the tests change copies."""
    with built(template, tmp_path_factory.mktemp("deletion"), cluster_two_days) as made:
        yield made


@pytest.fixture(scope="module")
def document(original: Installation) -> str:
    """A document in a cluster of documents, with events in clusters of two and of more."""
    (found, *_) = original.rows(
        "SELECT document_id FROM stage4.current_members WHERE level = 'documents'"
        " AND cluster_id IN (SELECT cluster_id FROM stage4.current_clusters WHERE size > 2"
        " AND level = 'documents') AND document_id IN ("
        " SELECT document_id FROM stage4.current_members JOIN stage4.current_clusters"
        " USING (level, cluster_id) WHERE level = 'events' AND size = 2) ORDER BY 1"
    )
    return str(found[0])


def test_nothing_is_left_and_nothing_comes_back(
    made: Installation, api: Api, document: str
) -> None:
    texts = texts_of(made, document)
    assert len(texts) > 3
    before = {level: len(made.rows(members(level))) for level in LEVELS}
    query = "SELECT level, count(*) FROM stage4.current_members WHERE document_id = %s GROUP BY 1"
    items = dict(made.rows(query, document))
    assert set(items) == set(LEVELS)
    places = {Path(name).name.partition("_")[0] for name in made.found(document)}
    assert places >= {"items.parquet", "clusters.jsonl", "clustered", "members", "clusters"}
    for text in texts:
        assert len(made.found(text)) > 2
    answer = api.ask("DELETE", f"documents/{document}")
    assert answer.status_code == 202, answer.text
    asked = answer.json()
    assert (asked["state"], asked["known"]) == ("requested", True)
    assert asked["counts"]["events"]["items"] == 2 * items["events"], "of two runs"
    assert document not in answer.text

    # hidden at once, from the database; the counts are those of the rows
    assert api.ask("GET", f"documents/{document}/clusters").status_code == 404
    assert {n for n in made.found(*texts) if not n.startswith("/")} == set()
    unpublished = made.rows(
        "SELECT 'members_' || load_id FROM stage4.runs"
        " WHERE load_id NOT IN (SELECT load_id FROM stage4.published)"
    )
    named = {name for name in made.found(document) if not name.startswith("/")}
    assert named <= {name for (name,) in unpublished}
    made.adds_up()

    made.carry_out()
    assert made.found(document, *texts) == []
    made.adds_up()
    blank = "SELECT count(*) FROM stage4.clusters WHERE label = %s"
    assert made.rows(blank, hiding.BLANK_LABEL) == [(0,)]
    assert made.rows("SELECT state FROM stage4.deletions") == [("done",)]
    for level in LEVELS:
        stays = before[level] - items[level]
        assert len(made.rows(members(level))) == stays
        records = made.published_records(level)
        labels = "SELECT cluster_id, label FROM stage4.current_clusters WHERE level = %s"
        loaded = made.rows(labels, level)
        assert {name: each["cluster_label"] for name, each in records.items()} == dict(loaded)

    for level in LEVELS:
        made.cluster(level, "third", 2)
        assert len(made.rows(members(level))) == before[level] - items[level]
        ((left_out,),) = made.rows(
            "SELECT (report->'input'->>'deleted')::int FROM stage4.current_runs WHERE level = %s",
            level,
        )
        assert left_out == items[level]
    assert made.found(document, *texts) == []


def test_labels_that_a_model_made_of_its_texts_are_hidden_with_it(
    made: Installation, api: Api, document: str
) -> None:
    refusals = """[{"cluster_id": "event_0123456789ab", "label": "what the document said"}]"""
    set_ = "UPDATE stage4.runs SET report = jsonb_set(report, '{llm}', %s::jsonb) RETURNING level"
    made.rows(set_, f"""{{"model": "m", "refusals": {refusals}}}""")
    assert "runs" in made.found("what the document said")
    assert api.ask("DELETE", f"documents/{document}").status_code == 202
    assert made.found("what the document said") == []


def test_a_document_that_others_alone_name_is_named_no_more(made: Installation, api: Api) -> None:
    path = made.folder / "indices" / "storylines_metadata.json"
    content = json.loads(path.read_text())
    for number, entry in enumerate(content["metadata_store"].values()):
        entry["metadata"]["event_ids"] += [f"news.é_event_{number}"] if number % 3 else []
    path.write_text(json.dumps(content))
    for days, job in ((2, "third"), (3, "fourth")):
        made.cluster("storylines", job, days)
    before = made.published_records("storylines")
    naming = {name for name, each in before.items() if "news.é" in str(each["event_ids"])}
    assert naming
    assert api.ask("DELETE", "documents/news.é").json()["counts"] == {}

    # of the published run at once; of the one before when it is carried out
    (before_it,) = made.rows("SELECT load_id FROM stage4.runs WHERE job_id LIKE '%%.third'")
    in_tables = {name for name in made.found("news.é") if not name.startswith("/")}
    assert in_tables == {f"members_{before_it[0]}", f"clusters_{before_it[0]}"}
    made.carry_out()
    assert made.found("news.é", *(json.dumps(each)[1:-1] for each in ["news.é"])) == []
    made.adds_up()
    assert set(made.published_records("storylines")) == set(before), "the members are the same"
    ((event,),) = made.rows("SELECT event FROM stage4.deletion_events")
    assert event["changed_clusters"] == [
        {"cluster_id": name, "new_cluster_id": name} for name in sorted(naming)
    ]
    assert event["removed_clusters"] == []
    made.cluster("storylines", "fifth", 4)
    assert made.found("news.é") == []


def members(level: str) -> str:
    return f"SELECT vector_id FROM stage4.current_members WHERE level = '{level}'"  # noqa: S608


def test_centroids_similarities_and_names_are_those_of_who_stays(
    made: Installation, api: Api, document: str
) -> None:
    api.ask("DELETE", f"documents/{document}")
    made.carry_out()
    items, vectors = vectors_of(made, "events", SECOND)
    row = {name: number for number, name in enumerate(items["vector_id"].to_pylist())}
    stored = made.rows(
        "SELECT cluster_id, vector_id, similarity FROM stage4.current_members"
        " WHERE level = 'events' AND cluster_id IS NOT NULL"
    )
    records = made.published_records("events")
    assert {cluster for cluster, *_ in stored} == set(records)
    for name, record in records.items():
        own = {vector: cosine for cluster, vector, cosine in stored if cluster == name}
        unit = vectors[[row[vector] for vector in own]].astype(np.float64)
        centroid = unit.sum(axis=0) / np.linalg.norm(unit.sum(axis=0))
        np.testing.assert_allclose(record["centroid_vector"], centroid, atol=1e-6)
        np.testing.assert_allclose(list(own.values()), unit @ centroid, atol=1e-5)
        pairs = (unit @ unit.T)[~np.eye(len(unit), dtype=bool)]
        assert record["intra_cluster_similarity"] == pytest.approx(pairs.mean(), abs=1e-6)


def test_clusters_that_lose_nothing_stay_as_they_were(
    made: Installation, api: Api, document: str
) -> None:
    before = made.published_records("events")
    api.ask("DELETE", f"documents/{document}")
    made.carry_out()
    after = made.published_records("events")
    same = {name for name, record in before.items() if document not in record["document_ids"]}
    assert same < set(before)
    assert same <= set(after)
    for name in same:
        for field in ("centroid_vector", "member_ids", "member_similarities", "temporal_span"):
            assert after[name][field] == before[name][field]


def test_asking_again_changes_nothing(made: Installation, api: Api, document: str) -> None:
    one = api.ask("DELETE", f"documents/{document}").json()
    assert api.ask("DELETE", f"documents/{document}").json() == one
    made.carry_out()
    runs = made.rows("SELECT load_id FROM stage4.runs ORDER BY load_id")
    again = api.ask("DELETE", f"documents/{document}")
    assert (again.status_code, again.json()["state"]) == (202, "done")
    made.carry_out()
    assert made.rows("SELECT load_id FROM stage4.runs ORDER BY load_id") == runs
    history = made.rows("SELECT act, count(*) FROM stage4.publications GROUP BY act ORDER BY act")
    assert history == [("delete_document", 4), ("publish", 6)]


def test_a_document_that_nobody_knows_yet_is_left_out_when_it_comes(
    made: Installation, api: Api
) -> None:
    answer = api.ask("DELETE", "documents/doc_not_yet")
    assert (answer.status_code, answer.json()["counts"]) == (202, {})
    assert not answer.json()["known"]
    path = made.folder / "indices" / "documents_metadata.json"
    path.write_text(path.read_text().replace('"doc_003"', '"doc_not_yet"'))
    made.carry_out()
    made.cluster("documents", "third", 2)
    read = made.rows(members("documents"))
    assert ("doc_emb_doc_003",) not in read
    assert len(read) == 29


@pytest.mark.parametrize(("headers", "status"), [(None, 401), (bearer, 403)])
def test_who_may_start_no_runs_deletes_nothing(
    made: Installation, api: Api, document: str, headers: Any, status: int
) -> None:
    given = headers("viewer") if headers else {}
    answer = api.client.delete(f"documents/{document}", headers=given)
    assert answer.status_code == status
    assert made.rows("SELECT count(*) FROM stage4.deletions") == [(0,)]
    assert api.get(f"documents/{document}/clusters")


def test_without_a_secret_nothing_is_deleted_and_the_way_to_one_is_told(
    made: Installation, api: Api, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STAGE4_DELETION_SECRET")
    deployment.cache_clear()
    answer = api.ask("DELETE", f"documents/{document}")
    assert answer.status_code == 503
    assert "secrets.token_urlsafe" in answer.json()["detail"]
    assert made.rows("SELECT count(*) FROM stage4.deletions") == [(0,)]


def test_another_secret_is_refused_everywhere(
    made: Installation, api: Api, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.ask("DELETE", f"documents/{document}")
    monkeypatch.setenv("STAGE4_DELETION_SECRET", "another secret of the tests")
    deployment.cache_clear()
    answer = api.ask("DELETE", "documents/doc_002")
    assert answer.status_code == 503
    assert "not the secret" in answer.json()["detail"]
    assert made.rows("SELECT count(*) FROM stage4.deletions") == [(1,)]
    with pytest.raises(AirflowFailException, match="not the secret"):
        start_deletion()


def test_a_run_that_was_under_way_is_not_loaded_and_leaves_nothing(
    made: Installation, api: Api, document: str
) -> None:
    run = made.run("events", "under_way", 3, DENSE)
    run.start()
    perform_steps(run, with_map=True)
    api.ask("DELETE", f"documents/{document}")
    with pytest.raises(AirflowFailException, match="clear `snapshot`"):
        made.publish(run)
    made.carry_out()
    assert made.found(document, *texts_of(made, document)) == []


class Crash(BaseException):
    """What no handler expects, like the end of the process."""


def crash(*_: Any, **__: Any) -> None:
    raise Crash


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (label, "write"),
        (rewriting, "replace_records"),
        (step, "remove_artefacts"),
        (replacing, "_load_again"),
        (replacing, "redact_published"),
        (replacing, "event_of"),
        (progress, "clear_cache"),
    ],
)
def test_a_crash_is_made_good_by_the_next_run(
    made: Installation,
    api: Api,
    document: str,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
) -> None:
    api.ask("DELETE", f"documents/{document}")
    with monkeypatch.context() as patch:
        patch.setattr(module, name, crash)
        with pytest.raises(Crash):
            made.carry_out()
    assert api.ask("GET", f"documents/{document}/clusters").status_code == 404
    made.adds_up()
    made.carry_out()
    assert made.found(document, *texts_of(made, document)) == []
    made.adds_up()
    assert made.rows("SELECT state FROM stage4.deletions") == [("done",)]


def test_a_crash_between_two_records_of_a_run_is_made_good(
    made: Installation, api: Api, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = storage.write_atomically

    def until_the_clustering(path: UPath, data: bytes) -> None:
        if path.name == "merge.json":
            raise Crash
        write(path, data)

    api.ask("DELETE", f"documents/{document}")
    with monkeypatch.context() as patch:
        patch.setattr(records, "write_atomically", until_the_clustering)
        with pytest.raises(Crash):
            made.carry_out()
    assert made.run("documents", "first").result("snapshot").metrics["items"] == 29
    made.carry_out()
    assert made.found(document, *texts_of(made, document)) == []
    made.adds_up()


def test_a_reader_sees_whole_runs_all_the_while(
    made: Installation, api: Api, document: str
) -> None:
    seen, wrong, over = list[Any](), list[str](), threading.Event()

    def read() -> None:
        query = (
            "SELECT (SELECT clustered FROM stage4.current_runs WHERE level = 'events'),"
            " (SELECT sum(size) FROM stage4.current_clusters WHERE level = 'events'),"
            " (SELECT count(*) FROM stage4.current_members WHERE level = 'events'"
            " AND cluster_id IS NOT NULL)"
        )
        while not over.is_set():
            (row,) = made.results.rows(query)
            seen.append(row)
            if len(set(row)) > 1:
                wrong.append(str(row))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        api.ask("DELETE", f"documents/{document}")
        made.carry_out()
    finally:
        over.set()
        reader.join()
    assert wrong == []
    assert len(set(seen)) > 1


def test_stage_5_is_told_which_clusters_have_changed_and_which_are_gone(
    made: Installation, api: Api, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.published_records("events")
    api.ask("DELETE", f"documents/{document}")
    made.carry_out()
    after = made.published_records("events")
    with pytest.raises(AirflowSkipException):
        notify_deletion()
    with checking_receiver("a token") as stage5:
        for name, value in stage5.environment().items():
            monkeypatch.setenv(name, value)
        deployment.cache_clear()
        assert notify_deletion() == {"events": 4}
        assert notify_deletion() == {"events": 0}
    (event,) = [each for each in stage5.received if each["embedding_type"] == "event"]
    assert event["event_type"] == "clustering.document.deleted"
    held = {name for name, record in before.items() if document in record["document_ids"]}
    changed = {each["cluster_id"]: each["new_cluster_id"] for each in event["changed_clusters"]}
    assert set(changed) | set(event["removed_clusters"]) == held
    assert set(changed) & set(event["removed_clusters"]) == set()
    assert event["removed_clusters"]
    for name, renamed in changed.items():
        left = [i for i in before[name]["member_ids"] if not i.startswith(f"{document}_")]
        assert after[renamed]["member_ids"] == left
    assert document not in str(stage5.received)


def test_a_history_that_cannot_be_made_again_goes_a_published_run_says_what_to_do(
    made: Installation, api: Api, document: str
) -> None:
    for job in ("first", SECOND):
        snapshot = made.run("events", job).result("snapshot")
        snapshot.path("vectors").unlink(missing_ok=True)
    api.ask("DELETE", f"documents/{document}")
    with pytest.raises(AirflowFailException, match="run `cluster_events` again"):
        made.carry_out()
    assert made.rows("SELECT state FROM stage4.deletions") == [("requested",)]
    made.cluster("events", "third", 2)
    made.carry_out()
    assert made.found(document, *texts_of(made, document)) == []
    runs = made.rows("SELECT job_id FROM stage4.runs WHERE level = 'events'")
    assert runs == [("cluster_events.third",)]


@pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed")
def test_the_cache_is_cleared(
    made: Installation, document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = texts_of(made, document)
    with running(tmp_path) as redis:
        monkeypatch.setenv("AIRFLOW_CONN_CACHE", redis.airflow_connection)
        monkeypatch.setenv("STAGE4_REDIS_CONN_ID", "cache")
        deployment.cache_clear()
        with serving() as client:
            api = Api(client, bearer("user", "ulla"))
            asked = f"clusters?level=documents&document_id={document}"
            (cluster,) = api.get(asked)["clusters"]
            api.get(f"clusters/{cluster['cluster_id']}")
            api.get(f"clusters/{cluster['cluster_id']}/members")
            api.get("clusters?level=storylines")
            api.get("metrics/events")
            made = Installation(made.folder, made.results, redis.client)
            assert [name for name in made.found(document) if name.startswith(PREFIX)]
            before = set(redis.client.scan_iter(f"{PREFIX}*"))
            assert {name.split(b":")[3] for name in before} >= {b"documents", b"storylines"}
            api.ask("DELETE", f"documents/{document}")
            # What was kept is asked for no more, from the request on, and then it is gone.
            assert api.get(asked)["clusters"] == []
            between = set(redis.client.scan_iter(f"{PREFIX}*"))
            assert between > before
            made.carry_out()
            assert set(redis.client.scan_iter(f"{PREFIX}*")) == set()
            assert api.get(asked)["clusters"] == []
            assert between & set(redis.client.scan_iter(f"{PREFIX}*")) == set()
            assert made.found(document, *texts) == []


def test_a_run_whose_settings_name_the_document_names_it_no_more(
    made: Installation, api: Api, document: str
) -> None:
    made.cluster("events", "named", 2, DENSE | {"filter.document_ids": [document, "doc_003"]})
    api.ask("DELETE", f"documents/{document}")
    made.carry_out()
    assert made.found(document, *texts_of(made, document)) == []
    made.adds_up()
    run = load_run(UPath(made.workspace), LEVELS["events"], "cluster_events.named")
    assert run.settings.filter.document_ids == [GONE_NAME, "doc_003"]


@pytest.fixture
def dag(airflow_metadata: None) -> Iterator[DAG]:
    """The DAG, as the API server knows it."""
    bag = DagBag(str(REPO / "dags"))
    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
        session.flush()
        sync_bag_to_db(bag, "tests", None, session=session)
    yield bag.dags["delete_document"]
    with create_session() as session:
        session.query(DagRun).delete()
        session.query(DagModel).delete()


def test_the_request_starts_the_dag_and_only_once(
    made: Installation, api: Api, document: str, dag: DAG
) -> None:
    numbers = {api.ask("DELETE", f"documents/{document}").json()["deletion_id"] for _ in "ab"}
    with create_session() as session:
        query = select(DagRun.run_id, DagRun.conf).where(DagRun.dag_id == dag.dag_id)
        runs = [tuple(row) for row in session.execute(query)]
    assert runs == [(f"deletion__{number}", {}) for number in numbers]


def test_the_dag_itself_carries_it_out(
    made: Installation, api: Api, document: str, dag: DAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPO))  # of the steps' processes
    api.ask("DELETE", f"documents/{document}")
    run = dag.test()
    states = {each.task_id: each.state for each in run.get_task_instances()}
    assert {states.pop(name) for name in ("notify_stage5", "write_back")} == {"skipped"}
    assert set(states.values()) == {"success"}
    assert made.found(document, *texts_of(made, document)) == []
    assert made.rows("SELECT state FROM stage4.deletions") == [("done",)]


def test_nothing_to_do_is_skipped(made: Installation) -> None:
    with pytest.raises(AirflowSkipException):
        start_deletion()
