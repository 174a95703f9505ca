"""Near-duplicates as the database and the API have them, also after a deletion."""

from collections.abc import Iterator

import faiss
import orjson
import pytest

from tests.integration.api.conftest import Api
from tests.integration.api.deletion_fixtures import Installation, built
from tests.integration.conftest import Results

pytestmark = pytest.mark.usefixtures("airflow_metadata")

MARKED = """
SELECT source_id, near_duplicate_of FROM stage4.current_members
WHERE level = 'documents' AND near_duplicate_of IS NOT NULL ORDER BY 1
"""


@pytest.fixture(scope="module")
def original(template: Results, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with built(template, tmp_path_factory.mktemp("reprints"), cluster_reprints) as made:
        yield made


def cluster_reprints(made: Installation) -> None:
    """Cluster documents of which four are one text; the second of them is the earliest."""
    indices = made.folder / "indices"
    index = faiss.read_index(str(indices / "documents.index"))
    vectors = index.reconstruct_n(0, index.ntotal)
    vectors[1:4] = vectors[0]
    index.reset()
    index.add(vectors)
    faiss.write_index(index, str(indices / "documents.index"))
    path = indices / "documents_metadata.json"
    content = orjson.loads(path.read_bytes())
    for row in range(4):
        said = content["metadata_store"][content["reverse_id_map"][str(row)]]["metadata"]
        said["publication_date"] = "2025-12-14" if row == 1 else "2025-12-15"
    path.write_bytes(orjson.dumps(content))
    made.cluster("documents", "first")


def texts(made: Installation) -> list[str]:
    """The source ids of the four."""
    path = made.folder / "indices" / "documents_metadata.json"
    content = orjson.loads(path.read_bytes())
    names = (content["reverse_id_map"][str(row)] for row in range(4))
    return [content["metadata_store"][name]["source_id"] for name in names]


def test_members_name_the_one_that_they_are_of(made: Installation, api: Api) -> None:
    one, first, *others = texts(made)
    assert made.rows(MARKED) == sorted((name, first) for name in (one, *others))
    cluster = api.get(f"items/documents/{one}")["cluster_id"]
    (page,) = api.pages(f"clusters/{cluster}/members", limit=200)
    told = {each["source_id"]: each["near_duplicate_of"] for each in page["members"]}
    record = made.published_records("documents")[cluster]
    assert told == dict(zip(record["member_ids"], record["near_duplicate_of"], strict=True))
    assert {name for name in told if told[name]} == {one, *others}
    assert api.get(f"items/documents/{others[0]}")["near_duplicate_of"] == first
    assert api.get(f"items/documents/{first}")["near_duplicate_of"] is None


def test_a_deleted_one_is_named_no_more_and_another_stands_for_the_rest(
    made: Installation, api: Api
) -> None:
    one, first, *others = texts(made)
    assert api.ask("DELETE", f"documents/{first}").status_code == 202
    assert made.rows(MARKED) == []
    assert not {name for name in made.found(first) if not name.startswith("/")}
    made.carry_out()
    other, *rest = sorted((one, *others))  # all of one day
    assert made.rows(MARKED) == [(name, other) for name in rest]
    assert made.found(first) == []
