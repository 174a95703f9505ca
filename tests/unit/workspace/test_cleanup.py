"""Making room: what stays, what goes, and in which order."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.workspace import cleanup
from clustering_tasks.workspace.cleanup import Cleaned, clean_workspace
from clustering_tasks.workspace.listing import Entry, Listing

DAY = 86_400.0
NOW = time.time()


@dataclass(frozen=True)
class Workspace:
    """A workspace whose files have the ages that a test gives them, in days."""

    root: UPath

    def artefact(self, name: str, age: float, level: str = "events", size: int = 1000) -> UPath:
        folder = self.root / level / "artefacts" / name
        files = {"data": write(folder / "attempt" / "data", b"x" * size, age)}
        record = {"uri": str(folder), "files": files}
        write(folder / "result.json", orjson.dumps(record), age)
        return folder

    def run(
        self, job: str, age: float, *artefacts: UPath, level: str = "events", mode: str = "full"
    ) -> UPath:
        folder = self.root / level / "runs" / job
        write(folder / "run.json", orjson.dumps({"settings": {"mode": mode}}), age)
        for number, artefact in enumerate(artefacts):
            record = {"uri": str(artefact)}
            write(folder / f"step-{number}.json", orjson.dumps(record), age)
        return folder

    def publish(self, job: str, label: UPath, level: str = "events") -> None:
        record = {"job_id": job, "label_uri": str(label)}
        write(self.root / level / "published.json", orjson.dumps(record), 400)

    def clean(self, *keep: str, days: float = 90, limit: int | None = None) -> Cleaned:
        return clean_workspace(str(self.root), {"events": set(keep)}, days, limit)

    def left(self) -> set[str]:
        """Names of runs and keys of artefacts."""
        found = [*self.root.glob("*/runs/*"), *self.root.glob("*/artefacts/*/*")]
        return {path.name for path in found}


def write(path: UPath, content: bytes, age: float) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    modified = NOW - age * DAY
    if path.protocol == "memory":
        path.fs.store[path.path].modified = datetime.fromtimestamp(modified, UTC)
    else:
        os.utime(path.path, (modified, modified))
    return str(path)


@pytest.fixture(params=["disk", "store"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """A workspace on a disk; fsspec's store in memory stands for an object store."""
    store = UPath(f"memory://{tmp_path.name}/workspace")
    yield Workspace(store if request.param == "store" else UPath(tmp_path / "workspace"))
    if store.exists():
        store.fs.rm(store.path, recursive=True)


def test_an_old_run_goes_with_what_it_alone_refers_to(place: Workspace) -> None:
    own, shared = place.artefact("label/own", 100), place.artefact("snapshot/shared", 100)
    place.run("old", 100, own, shared)
    place.run("young", 10, shared)
    done = place.clean()
    assert place.left() == {"young", "shared"}
    assert (done.runs, done.artefacts, done.leftovers) == (1, 1, 0)
    assert done.freed_bytes > 1000
    files = (path for path in place.root.rglob("*") if path.is_file())
    assert done.left_bytes == sum(path.stat().st_size for path in files)
    assert place.clean() == Cleaned(0, 0, 0, 0, 0, done.left_bytes)


def test_what_the_database_keeps_and_what_is_published_stays(place: Workspace) -> None:
    kept, label = place.artefact("label/kept", 200), place.artefact("label/published", 300)
    place.run("kept", 200, kept)
    place.run("published", 300)
    place.run("old", 200)
    place.publish("published", label)
    place.clean("kept")
    assert place.left() == {"kept", "published"}


def test_an_artefact_of_another_level_is_kept_for_the_run_that_uses_it(place: Workspace) -> None:
    context = place.artefact("snapshot/context", 200, level="documents")
    place.run("young", 1, context, level="events")
    place.clean()
    assert place.left() == {"young", "context"}


def test_references_hold_wherever_the_workspace_is_mounted(place: Workspace) -> None:
    place.artefact("snapshot/seen", 200)
    place.run("young", 1, UPath("/workspace/events/artefacts/snapshot/seen"))
    place.clean()
    assert place.left() == {"young", "seen"}


def test_a_young_artefact_without_a_run_stays(place: Workspace) -> None:
    place.artefact("snapshot/young", 80)
    place.artefact("snapshot/old", 91)
    place.clean()
    assert place.left() == {"young"}


def test_leftovers_of_killed_attempts_go_when_nobody_can_be_at_work_on_them(
    place: Workspace,
) -> None:
    artefact = place.artefact("label/done", 10)
    run = place.run("young", 10, artefact)
    unfinished = place.root / "events" / "artefacts" / "merge" / "unfinished"
    for age, name in ((3.0, "dead"), (0.1, "alive")):
        write(artefact / name / "part", b"half", age)
        write(unfinished / name / "part", b"half", age)
        write(run / f"copy-{name}" / "events.index", b"half", age)
        write(run / f"{name}.checkpoint" / "key-digest.npz", b"block", age)
    assert place.clean().leftovers == 4
    assert {path.name for path in artefact.iterdir()} == {"attempt", "alive", "result.json"}
    assert {path.name for path in unfinished.iterdir()} == {"alive"}
    assert {path.name for path in run.glob("copy-*")} == {"copy-alive"}
    assert {path.name for path in run.glob("*.checkpoint")} == {"alive.checkpoint"}


def test_drafts_of_killed_writers_go_and_other_hidden_files_stay(place: Workspace) -> None:
    run = place.run("young", 10, artefact := place.artefact("label/done", 10))
    folders = (run, artefact, place.root / "events", place.root / "events" / "identities")
    for folder in folders:
        for age, name in ((3.0, "dead" * 8), (0.1, "a" * 32), (3.0, "no-draft")):
            write(folder / f".label.json.{name}", b"half", age)
    done = place.clean()
    assert (done.leftovers, done.freed_bytes) == (4, 16)
    left = {path.suffix for folder in folders for path in folder.glob(".label.json.*")}
    assert left == {f".{'a' * 32}", ".no-draft"}


def test_above_the_limit_the_least_recently_used_goes_first(place: Workspace) -> None:
    artefacts = [place.artefact(f"snapshot/{age}", 50, size=10_000) for age in (40, 30, 20, 10)]
    for artefact in artefacts:
        place.run(f"run-{artefact.name}", float(artefact.name), artefact)
    done = place.clean(limit=25_000)
    assert done.artefacts == 2
    assert done.left_bytes <= 25_000
    assert place.left() == {"run-40", "run-30", "run-20", "run-10", "20", "10"}


def test_what_is_published_or_may_be_in_use_stays_above_any_limit(place: Workspace) -> None:
    label, used = place.artefact("label/published", 300), place.artefact("label/used", 300)
    place.artefact("label/written", 1)
    place.artefact("label/idle", 3)
    place.run("published", 300, label)
    place.run("active", 0.5, used)
    place.publish("published", label)
    assert place.clean(limit=1).left_bytes > 1
    assert place.left() == {"published", "used", "written", "active"}


@pytest.mark.parametrize("mode", ["incremental", "auto"])
def test_what_the_next_incremental_run_takes_over_stays_above_any_limit(
    place: Workspace, mode: str
) -> None:
    label, graph = place.artefact("label/published", 300), place.artefact("cluster/graph", 300)
    other = place.artefact("cluster/other", 300)
    place.run("published", 300, label, graph, mode=mode)
    place.run("before", 300, other, mode=mode)
    place.publish("published", label)
    place.clean("before", limit=1)
    assert place.left() == {"published", "graph", "before"}


def test_an_empty_workspace_is_left_alone(place: Workspace) -> None:
    assert clean_workspace(str(place.root), {}, 90, 1) == Cleaned(0, 0, 0, 0, 0, 0)


def test_what_a_run_that_is_not_over_has_recorded_stays_above_any_limit(place: Workspace) -> None:
    """A run may be paused for longer than anything is kept."""
    done, context = (
        place.artefact("label/done", 200),
        place.artefact("context/of", 200, "documents"),
    )
    other = place.artefact("label/other", 150)
    place.run("paused", 200, done, context)
    place.run("over", 150, other)
    live = {"events": {"paused"}}
    clean_workspace(str(place.root), {"events": {"over"}}, 90, 1, live)
    assert place.left() == {"paused", "done", "of", "over"}
    clean_workspace(str(place.root), {}, 90, 1)
    assert place.left() == set()


def test_a_folder_that_is_a_link_is_seen(tmp_path: Path) -> None:
    """A level may have a disk of its own."""
    place = Workspace(UPath(tmp_path / "workspace"))
    context = place.artefact("snapshot/context", 200, level="documents")
    place.run("young", 1, context)
    (tmp_path / "other").mkdir()
    (tmp_path / "workspace" / "events").rename(tmp_path / "other" / "events")
    (tmp_path / "workspace" / "events").symlink_to(tmp_path / "other" / "events")
    place.clean()
    assert place.left() == {"young", "context"}


def test_a_link_that_leads_in_a_circle_is_not_followed(tmp_path: Path) -> None:
    place = Workspace(UPath(tmp_path / "workspace"))
    place.run("old", 100)
    place.run("young", 1, place.artefact("label/used", 100))
    for where in ("events", "events/runs/young", "events/runs/old", "events/artefacts/label/used"):
        (tmp_path / "workspace" / where / "circle").symlink_to(tmp_path / "workspace")
    place.clean()
    assert {each.name for each in Path(place.root.path, "events", "runs").iterdir()} == {"young"}
    assert Path(place.root.path, "events", "artefacts", "label", "used", "result.json").exists()


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    """Who clears an export has linked it, or the run's folder, from elsewhere."""
    place = Workspace(UPath(tmp_path / "workspace"))
    elsewhere = UPath(tmp_path / "elsewhere")
    write(elsewhere / "run.json", b"{}", 100)
    place.run("old", 100)
    exports = tmp_path / "workspace" / "events" / "exports"
    exports.mkdir()
    for link in (exports / "folder", exports.parent / "runs" / "linked"):
        link.symlink_to(tmp_path / "elsewhere")
    (exports / "file").symlink_to(tmp_path / "elsewhere" / "run.json")
    done = place.clean()
    assert (done.runs, done.leftovers) == (2, 2)
    assert not [*exports.iterdir(), *(exports.parent / "runs").iterdir()]
    assert (tmp_path / "elsewhere" / "run.json").exists()


def test_the_disks_own_folder_is_left_out(tmp_path: Path) -> None:
    place = Workspace(UPath(tmp_path / "workspace"))
    write(place.root / "lost+found" / "#12", b"x" * 100_000, 400)
    place.run("young", 1, place.artefact("label/used", 10))
    assert place.clean(limit=50_000).left_bytes < 50_000
    assert place.left() == {"young", "used"}


@pytest.mark.parametrize("record", ["runs/young/label.json", "artefacts/label/done/result.json"])
def test_a_damaged_record_is_named_and_nothing_goes_that_it_may_name(
    place: Workspace, record: str
) -> None:
    done, other = place.artefact("label/done", 200), place.artefact("label/other", 200)
    place.run("young", 10, done, other)
    write(place.root / "events" / record, b'{"uri": "', 10)
    with pytest.raises(BadInputError, match=record):
        place.clean(limit=1)
    assert place.left() == {"young", "done", "other"}


@pytest.mark.parametrize(
    "odd", ["events/artefacts//label/done/x", "events//runs/old/x", "events/runs/old/../young/x"]
)
def test_objects_whose_names_are_no_paths_take_nothing_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    """As a copy to a prefix with one slash too many makes them: a path would drop the slash."""
    place = Workspace(UPath(f"memory://{tmp_path.name}/odd"))
    kept = place.artefact("label/done", 10)
    place.run("young", 10, kept)
    write(place.root / "stray", b"x", 400)
    fs = place.root.fs
    found, modified = type(fs).find, type(fs).modified
    name, stray = f"{place.root.path}/{odd}", f"{place.root.path}/stray"

    def with_odd(self: Any, path: str, **how: Any) -> Any:
        return {name: fs.info(stray), **found(self, path, **how)}

    monkeypatch.setattr(type(fs), "find", with_odd)
    monkeypatch.setattr(
        type(fs), "modified", lambda self, path: modified(self, stray if path == name else path)
    )
    place.clean()
    assert place.left() == {"young", "done"}
    assert (kept / "attempt" / "data").exists()


def test_what_a_run_begins_to_use_meanwhile_stays(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal may take long: here a run starts behind the first artefact."""
    names = ("a", "b", "c")
    artefacts = {name: place.artefact(f"label/{name}", 200) for name in names}
    monkeypatch.setattr(cleanup, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(cleanup, "_LOOK_SECONDS_IN_STORE", 0.0)
    remove = Listing.remove

    def starting(self: Listing, entry: Entry) -> None:
        remove(self, entry)
        if entry.path.endswith("label/a"):
            place.run("new", 0, artefacts["c"])

    monkeypatch.setattr(Listing, "remove", starting)
    assert place.clean().artefacts == 2
    assert place.left() == {"c", "new"}


def test_an_artefact_is_in_use_while_its_run_does_anything(place: Workspace) -> None:
    """A run without Airflow, which nobody calls live, may be at work for days."""
    used, over = place.artefact("snapshot/used", 9), place.artefact("snapshot/over", 8)
    at_work = place.run("at_work", 9, used)
    write(at_work / "cluster-0.checkpoint" / "key-digest.npz", b"block", 0.01)
    place.run("over", 8, over)
    place.clean("over", limit=1)
    assert (used.exists(), over.exists()) == (True, False)


def test_what_a_run_that_is_not_over_continues_stays(place: Workspace) -> None:
    """Another run was published since: a live one goes on from what it began with."""
    graph, other = place.artefact("cluster/graph", 200), place.artefact("cluster/other", 150)
    place.run("base", 200, graph)
    place.run("full", 200, other)
    for job, before, taken in (("paused", "base", "incremental"), ("anew", "full", "full")):
        mode = {"taken": taken, "previous": {"job_id": before}}
        write(place.run(job, 190) / "mode.json", orjson.dumps(mode), 190)
    live = {"events": {"paused", "anew"}}
    clean_workspace(str(place.root), {}, 90, 1, live)
    assert place.left() == {"base", "graph", "paused", "anew"}


def test_old_corrections_go_when_no_run_names_them(place: Workspace) -> None:
    folder = place.root / "events" / "corrections"
    for name, age in (("named", 400), ("forgotten", 400), ("new", 1)):
        write(folder / f"{name}.json", b"[]", age)
    write(place.root / "events" / "runs" / "job" / "run.json", b'{"corrections": "named"}', 400)
    place.clean("job")
    assert sorted(path.stem for path in folder.iterdir()) == ["named", "new"]


def test_old_answers_of_a_language_model_go_when_no_run_uses_them(place: Workspace) -> None:
    folder = place.root / "events" / "llm"
    for name, age in (("used", 400), ("forgotten", 400), ("new", 1)):
        write(folder / f"{name}.json", b"{}", age)
    asked = b'{"answers": {"event_1": "used"}}'
    write(place.root / "events" / "runs" / "job" / "llm.json", asked, 400)
    place.clean("job")
    assert sorted(path.stem for path in folder.iterdir()) == ["new", "used"]


def registry(place: Workspace, job: str, base: str | None, age: float = 400) -> str:
    folder = place.root / "events" / "identities"
    record = {"job_id": job, "base": base}
    write(folder / f"record-{job}-0.json", orjson.dumps(record), age)
    for file in ("identities", "items", "lineage"):
        write(folder / f"{file}-{job}-0.parquet", b"x" * 100, age)
    return f"identities-{job}-0.parquet"


def registries_left(place: Workspace) -> set[str]:
    found = (place.root / "events" / "identities").iterdir()
    return {path.name.split("-")[1] for path in found}


def test_a_registry_stays_while_a_run_may_go_on_from_it(place: Workspace) -> None:
    """The published one, those of runs that are kept, and what these went on from."""
    adopted = place.artefact("label/adopted", 400)
    first = registry(place, "first", "label/adopted")
    second = registry(place, "second", registry(place, "gone", first))
    third = registry(place, "third", second)
    registry(place, "young", None, age=1)
    registry(place, "fourth", third)
    place.run("first", 1)
    place.run("third", 1)
    write(
        place.root / "events" / "published.json",
        orjson.dumps({"job_id": "fourth", "identities": "/elsewhere/identities-fourth-0.parquet"}),
        400,
    )
    done = place.clean()
    assert registries_left(place) == {"first", "second", "third", "fourth", "young"}
    assert (done.registries, adopted.exists()) == (1, True)
    assert len(list((place.root / "events" / "identities").iterdir())) == 5 * 4
