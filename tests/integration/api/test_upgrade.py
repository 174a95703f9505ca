"""An installation whose runs were loaded at 0006 goes on at the newest revision, with its runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from clustering_tasks.publication.files import publish_files
from clustering_tasks.publication.report import read_report
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.workspace.artefacts import Run
from local.sample import write_sample
from stage4.database.connection import database
from stage4.database.retention import prune
from stage4.database.roll_back import roll_back
from stage4.setup import migrate
from tests.integration import former_loads
from tests.integration.api.conftest import Api
from tests.integration.api.deletion_fixtures import (
    Installation,
    let_name_each_other,
    settle,
)
from tests.integration.conftest import Results

pytestmark = pytest.mark.usefixtures("airflow_metadata")

PLACES = (
    "SELECT relname, pg_relation_filenode(oid) FROM pg_class"
    " WHERE relnamespace = 'stage4'::regnamespace AND relkind IN ('r', 'i')"
    " AND relname <> 'alembic_version' ORDER BY relname"
)
COUNT = "SELECT count(*) FROM stage4.members_{} WHERE document_id = %s"


@dataclass(frozen=True)
class FormerInstallation(Installation):
    """One that loads and publishes as 0006 did: without lasting ids."""

    def publish(self, run: Run) -> None:
        label = run.result("label").model_dump(mode="json")
        files = label["files"] | run.result("map").files
        with self.results.server.connect(self.results.database, self.results.loader) as connection:
            number = former_loads.load(connection, files)
            former_loads.publish(connection, number, run.level.name)
        for step in ("identify", "tag", "trend"):
            (run.folder / f"{step}.json").unlink()
        publish_files(
            read_report(label["files"]["report"]),
            clusters_jsonl=label["files"]["clusters_jsonl"],
            label_uri=label["uri"],
            workspace=str(run.workspace),
            output=deployment().output_uri,
            database=True,
        )


@pytest.fixture(scope="module")
def original(template: Results, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Three published runs of `events`, loaded at 0006; migrated since. The tests change copies."""
    folder = tmp_path_factory.mktemp("upgrade")
    name = template.server.create_database(template.database)
    results = Results(template.server, name, template.loader, template.reader)
    write_sample(folder / "indices", documents=30, seed=1)
    let_name_each_other(folder / "indices")
    made = FormerInstallation(folder, results)
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, folder, results)
        with database() as connection:
            migrate(connection, "0006")
            for day, job in enumerate(("first", "second", "third")):
                made.cluster("events", job, day)
            before = results.rows(PLACES)
            migrate(connection)
    deployment.cache_clear()
    after = dict(results.rows(PLACES))
    for relation, place in before:
        assert after[renamed(relation)] == place, "no row was written again"
    yield made
    template.server.drop_database(name)


def renamed(name: str) -> str:
    return "runs_level_load_id_key" if name == "runs_level_run_id_key" else name


def test_its_runs_are_read(made: Installation, api: Api) -> None:
    runs = api.get("runs", level="events")["runs"]
    assert [(run["load_id"], run["run_id"]) for run in runs] == [(3, 3), (2, 2), (1, 1)]
    assert [run["state"] for run in runs] == ["current", "published", "published"]
    for number in (1, 2, 3):
        page = api.get("clusters", level="events", load_id=number, limit=200)
        assert (page["load_id"], page["run_id"]) == (number, number)
        assert len(page["clusters"]) == runs[3 - number]["clusters"] > 0
        first = page["clusters"][0]["cluster_id"]
        assert api.get(f"clusters/{first}/similar", load_id=number)["clusters"]
        (member, *_) = api.get(f"clusters/{first}/members", load_id=number)["members"]
        item = api.get(f"items/events/{member['source_id']}", load_id=number)
        assert (item["load_id"], item["cluster_id"]) == (number, first)
        assert api.get("map/events", load_id=number)["clusters"]["x"]
    assert api.get("metrics/events")["latest"]["load_id"] == 3
    assert [alert["load_id"] for alert in api.get("alerts", level="events")["alerts"]] == [3, 2, 1]


def test_a_new_run_is_loaded_beside_and_an_old_one_gone_back_to(
    made: Installation, api: Api
) -> None:
    made.cluster("events", "fourth", 3)
    assert api.get("clusters", level="events")["load_id"] == 4
    compared = api.get("runs/events/compare", base=1, other=4)
    assert set(compared["summary"]["kinds"]) == {"unchanged"}, "the same items"
    assert compared["summary"]["same_ids"] == compared["summary"]["kinds"]["unchanged"]
    changes = "SELECT base_load_id, changes FROM stage4.publications WHERE load_id = 4"
    ((base, counts),) = made.rows(changes)
    assert base == 3
    assert {word for word, count in counts.items() if count} == {"unchanged"}
    before = ids(made)
    assert roll_back("events", 1)["load_id"] == 1
    assert api.get("clusters", level="events")["load_id"] == 1
    seen = "SELECT DISTINCT load_id, run_id FROM stage4.current_{}"
    for view in ("runs", "clusters", "members"):
        assert made.results.rows(seen.format(view)) == [(1, 1)], "the reader's grants stay"
    constraints = made.rows(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE conname IN ('one_run', 'one_load') AND conrelid::regclass::text LIKE '%%clusters%%'"
        " ORDER BY 1"
    )
    assert [name for _, name in constraints] == ["one_run"] * 3 + ["one_load"]
    assert [row[0] for row in ids(made)] == [row[0] for row in before]
    assert roll_back("events", 4)["load_id"] == 4
    assert ids(made) == before


def ids(installation: Installation) -> list[tuple[Any, ...]]:
    return installation.rows("SELECT * FROM stage4.identities ORDER BY cluster_id")


def test_a_document_is_deleted_from_an_old_load_and_old_loads_are_removed(
    made: Installation, api: Api
) -> None:
    ((document,),) = made.rows("SELECT min(document_id) FROM stage4.members_1")
    items = {number: count(made, number, document) for number in (1, 2, 3)}
    assert min(items.values()) > 0
    answer = api.ask("DELETE", f"documents/{document}")
    assert answer.status_code == 202, answer.text
    counts: Any = answer.json()["counts"]["events"]
    assert (counts["items"], counts["runs"]) == (sum(items.values()), 3)
    assert [count(made, number, document) for number in (1, 2, 3)] == [0, 0, 0]
    made.adds_up()
    made.carry_out()
    made.adds_up()
    assert made.found(document) == []
    loads = made.rows("SELECT load_id FROM stage4.runs ORDER BY load_id")
    assert [number for (number,) in loads] == [4, 5, 6], "in the place of the former three"
    assert {name.rpartition("_")[2] for name in made.results.tables()} == {"4", "5", "6"}


def count(made: Installation, number: int, document: str) -> int:
    return int(made.rows(COUNT.format(number), document)[0][0])


def test_old_loads_are_removed_by_their_age(made: Installation) -> None:
    with made.results.server.connect(made.results.database, made.results.loader) as connection:
        connection.execute("UPDATE stage4.runs SET loaded_at = now() - interval '100 days'")
    assert prune("events", 90)["removed_runs"] == 1
    expected = {f"{parent}_{n}" for parent in ("clusters", "members", "points") for n in (2, 3)}
    assert made.results.tables() == expected
