"""Views of the map, against the points themselves."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from psycopg.sql import SQL

from stage4.database.load import load_run
from tests.integration.api.conftest import Api, Corpus, bearer
from tests.integration.conftest import CONNECTION_VARIABLE
from tests.integration.label_files import Label, report_of


@pytest.mark.parametrize("level", ["documents", "events", "entities", "storylines"])
def test_the_whole_map_is_every_point(viewer: Api, corpus: Corpus, level: str) -> None:
    view = viewer.get(f"map/{level}")
    drawn = points(corpus, level)
    assert view["complete"]
    assert view["load_id"] == corpus.runs[level].load_id
    clusters = drawn[drawn["kind"] == "cluster"]
    assert view["clusters"]["cluster_id"] == clusters["cluster_id"].tolist()
    assert view["clusters"]["size"] == clusters["size"].astype(int).tolist()
    assert view["clusters"]["x"] == pytest.approx(clusters["x"].tolist(), abs=1e-5)
    assert view["members"]["vector_id"] == drawn["vector_id"].dropna().tolist()
    records = corpus.runs[level].records
    of = [records[name] for name in view["clusters"]["cluster_id"]]
    assert view["clusters"]["label"] == [record["cluster_label"] for record in of]
    assert view["clusters"]["group"] == [
        record["domain"] or record.get("entity_type") for record in of
    ]


def points(corpus: Corpus, level: str) -> pd.DataFrame:
    return pd.read_csv(corpus.runs[level].files["points_csv"])


def test_a_view_marks_what_a_person_hid(viewer: Api, corpus: Corpus) -> None:
    view = viewer.get("map/events")["clusters"]
    assert view["hidden"] == [False] * len(view["cluster_id"])
    largest = view["cluster_id"][0]
    user = Api(viewer.client, bearer("user", "ulla"))
    body = {"level": "events", "kind": "hide", "cluster_id": largest}
    made = user.ask("POST", "corrections", json=body).json()
    after = viewer.get("map/events")["clusters"]
    assert after["hidden"] == [name == largest for name in after["cluster_id"]]
    user.ask("DELETE", f"corrections/{made['correction_id']}")
    assert viewer.get("map/events")["clusters"] == view


@pytest.mark.parametrize("bbox", ["-0.5,-0.5,0.5,0.5", "0,0,1,1", "-0.1,-1,0.1,1", "0.9,0.9,0,0"])
@pytest.mark.parametrize("limit", [1, 7, 5000])
def test_a_view_is_the_lowest_ranks_of_its_rectangle(
    viewer: Api, corpus: Corpus, bbox: str, limit: int
) -> None:
    view = viewer.get("map/events", bbox=bbox, limit=limit)
    left, bottom, right, top = map(float, bbox.split(","))
    drawn = points(corpus, "events")
    inside = drawn[drawn["x"].between(left, right) & drawn["y"].between(bottom, top)]
    first = inside.sort_values("rank")[:limit]
    clusters, members = (first[first["kind"] == kind] for kind in ("cluster", "member"))
    assert view["clusters"]["cluster_id"] == clusters["cluster_id"].tolist()
    assert view["members"]["vector_id"] == members["vector_id"].tolist()
    assert view["complete"] == (len(inside) <= limit)


@pytest.mark.parametrize(
    "bad",
    [{"bbox": "1,2,3"}, {"bbox": "a,b,c,d"}, {"bbox": "1e9,0,0,0"}, {"limit": 5001}, {"zoom": 3}],
)
def test_what_is_no_view_is_refused(viewer: Api, bad: dict[str, Any]) -> None:
    assert viewer.ask("GET", "map/events", params=bad).status_code == 422


def test_a_run_without_a_map_says_so(
    viewer: Api, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = Label(tmp_path, level="storylines", job_id="cluster_storylines.mapless__1").write()
    load_id = load_run(label["files"], report_of(label))["load_id"]
    answer = viewer.ask("GET", "map/storylines", params={"load_id": load_id})
    assert answer.status_code == 404
    assert "has no map" in answer.json()["detail"]
    with corpus.results.server.connect(corpus.results.database) as connection:
        connection.execute(SQL("DELETE FROM stage4.runs WHERE load_id = {}").format(load_id))
    assert CONNECTION_VARIABLE
