"""Published registries that something has damaged, and a pointer that is gone."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.identity.columns import ITEMS
from clustering_tasks.identity.published import (
    beside,
    find_base,
    find_published,
    published_name,
)
from clustering_tasks.identity.registry import Registry, born, published_files, read_base

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEVEL = "events"


def name_of(job: str) -> str:
    return published_name(job, "0123456789abcdef0123")


class Level:
    """A level with two published runs, `one` and, a day later, `two`."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = UPath(workspace)
        self.folder = workspace / LEVEL / "identities"
        self.folder.mkdir(parents=True)
        self.pointer = workspace / LEVEL / "published.json"
        self.leave("one", None, NOON)
        self.leave("two", name_of("one"), NOON + timedelta(days=1))

    def leave(self, job: str, base: str | None, as_of: datetime) -> None:
        path = UPath(self.folder / name_of(job))
        ids = [f"event_{number:012x}" for number in range(300)]
        items = pa.table(
            {
                "vector_id": ids,
                "document_id": ids,
                "held": pa.array([1] * len(ids), pa.uint32()),
                "clustered": pa.array([1] * len(ids), pa.uint32()),
                "cluster_ids": [[each] for each in ids],
            },
            schema=ITEMS,
        )
        made = Registry(job, as_of, base, (job,), born(ids, job, as_of), items)
        made.write(published_files(path))
        self.point({"job_id": job, "identities": str(path), "label_uri": None})

    def point(self, record: object) -> None:
        self.pointer.write_text(json.dumps(record))

    def file(self, kind: str, job: str = "two") -> Path:
        return Path(str(beside(UPath(self.folder / name_of(job)), kind)))

    def next_ids(self, job: str = "three", days: int = 2) -> list[str]:
        """Read what a run goes on from."""
        base = find_base(self.workspace, LEVEL, job, NOON + timedelta(days=days))
        if base is None:
            return []
        found: list[str] = read_base(self.workspace, LEVEL, base).identities["born_job"].to_pylist()
        return found

    def record(self, **values: object) -> None:
        path = self.file("record")
        path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def level(tmp_path: Path) -> Level:
    return Level(tmp_path)


def test_a_run_goes_on_from_the_newest(level: Level) -> None:
    assert set(level.next_ids()) == {"two"}


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def turn_around(path: Path) -> None:
    table = pq.read_table(path)
    ids = pa.array(table["cluster_id"].to_pylist()[::-1])
    pq.write_table(table.set_column(0, "cluster_id", ids), path)


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "items gone": ("items", Path.unlink),
    "identities gone": ("identities", Path.unlink),
    "record gone": ("record", Path.unlink),
    "items cut": ("items", halve),
    "identities cut": ("identities", halve),
    "record cut": ("record", halve),
    "record empty": ("record", lambda path: path.write_text("")),
    "record a list": ("record", lambda path: path.write_text("[]")),
    "items empty": ("items", lambda path: path.write_bytes(b"")),
    "ids in another order": ("identities", turn_around),
}


@pytest.mark.parametrize(("kind", "damage"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_registry_is_named_with_what_to_do(
    level: Level, kind: str, damage: Callable[[Path], object]
) -> None:
    path = level.file(kind)
    damage(path)
    with pytest.raises(BadInputError, match="restore it from a backup") as refused:
        level.next_ids()
    assert path.name in str(refused.value)


@pytest.mark.parametrize("values", [{"as_of": "yesterday"}, {"as_of": 7}, {"digest": "0" * 32}])
def test_an_edited_record_is_named(level: Level, values: dict[str, object]) -> None:
    level.record(**values)
    with pytest.raises(BadInputError, match=r"record-two-.*restore it"):
        level.next_ids()


@pytest.mark.parametrize("as_of", ["2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z"])
def test_a_registry_that_goes_on_from_itself_ends_with_an_error(level: Level, as_of: str) -> None:
    level.record(base=name_of("two"), as_of=as_of)
    with pytest.raises(BadInputError, match="goes on from itself"):
        level.next_ids()


def test_registries_that_go_on_from_each_other_end_with_an_error(level: Level) -> None:
    record = level.file("record", "one")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"base": name_of("two")}))
    with pytest.raises(BadInputError, match="goes on from itself"):
        level.next_ids(days=-1)


def test_a_damaged_registry_does_not_stop_a_roll_back_to_another_run(level: Level) -> None:
    level.file("record").write_text("{")
    assert find_published(level.workspace, LEVEL, "one") == str(level.folder / name_of("one"))


def test_without_the_pointer_no_id_is_replaced(level: Level) -> None:
    level.pointer.unlink()
    with pytest.raises(BadInputError, match=r"published\.json is gone.*roll_back.*--job two"):
        level.next_ids()
    assert set(level.next_ids("two", days=1)) == {"one"}, "the newest run may be performed again"
    with pytest.raises(BadInputError, match="is gone"):
        level.next_ids("one", days=0)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7", '{"job_id": "a"}'])
def test_a_damaged_pointer_is_no_reason_for_new_ids(level: Level, text: str) -> None:
    level.pointer.write_text(text)
    with pytest.raises(BadInputError, match=r"published\.json is damaged.*restore") as refused:
        level.next_ids()
    assert "remove it" not in str(refused.value)


def test_a_level_that_was_never_published_has_no_base(tmp_path: Path) -> None:
    assert find_base(UPath(tmp_path), LEVEL, "one", NOON) is None


def test_new_ids_may_be_asked_for(level: Level) -> None:
    level.point({"job_id": "two", "identities": None, "label_uri": None})
    assert level.next_ids() == []
