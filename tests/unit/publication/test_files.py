"""Publishing files: the names, the pointer, and a crash between any two operations."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.publication.files import (
    Publication,
    publish_files,
    publish_files_again,
    published,
    remove_files,
)
from clustering_tasks.publication.report import Report
from clustering_tasks.settings.run import RunSettings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Place:
    """Where a test publishes: label's files come from `source`, whatever kind the rest is."""

    source: Path
    workspace: str
    output: str

    def publish(
        self, job: str, as_of: datetime, level: str = "events", text: str | None = None
    ) -> Publication:
        """Publish a run whose JSONL consists of its job id's letter."""
        jsonl = self.source / f"{job}.jsonl"
        jsonl.write_text(text or content(job))
        return publish_files(
            report(job, as_of, level),
            clusters_jsonl=str(jsonl),
            label_uri=f"label of {job}",
            workspace=self.workspace,
            output=self.output,
        )

    def files(self) -> dict[str, str]:
        folder = UPath(self.output)
        return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else {}

    def current(self) -> str | None:
        pointer = published(self.workspace, "events")
        return pointer.job_id if pointer else None


def content(job: str) -> str:
    return f"{job}\n" * 100_000  # more than one buffer, so that a copy can break off inside


def report(job: str, as_of: datetime, level: str = "events") -> Report:
    counts = dict.fromkeys(("read", "clustered", "noise", "filtered", "unassigned", "clusters"), 0)
    shares = dict.fromkeys(("coverage", "outlier_share", "largest_cluster_share"))
    record: dict[str, Any] = {"job_id": job, "level": level, "as_of": as_of, "counts": counts}
    return Report(algorithm="hdbscan", settings=RunSettings(), **record, **shares)


@pytest.fixture
def local(tmp_path: Path) -> Place:
    return Place(tmp_path, str(tmp_path / "workspace"), str(tmp_path / "output"))


@pytest.fixture(params=["local", "file://", "memory://"])
def place(request: pytest.FixtureRequest, local: Place) -> Iterator[Place]:
    if request.param == "local":
        yield local
    elif request.param == "file://":
        yield Place(local.source, f"file://{local.workspace}", f"file://{local.output}")
    else:
        yield Place(local.source, "memory://workspace", "memory://output")
        memory = UPath("memory://").fs
        for folder in ("/workspace", "/output"):
            if memory.exists(folder):
                memory.rm(folder, recursive=True)


def test_a_run_gets_its_own_name_and_the_days(place: Place) -> None:
    done = place.publish("a", NOON)
    assert not done.superseded
    assert place.files() == {
        "clustered_events_a.jsonl": content("a"),
        "clustered_events_2026-03-01.jsonl": content("a"),
    }
    assert done.current == published(place.workspace, "events")
    assert done.current.label_uri == "label of a"
    assert UPath(done.current.clusters_jsonl).read_text() == content("a")
    assert UPath(done.current.dated_jsonl).name == "clustered_events_2026-03-01.jsonl"


def test_a_later_run_of_the_day_takes_the_days_name(place: Place) -> None:
    place.publish("a", NOON)
    place.publish("b", NOON + HOUR)
    assert place.files()["clustered_events_2026-03-01.jsonl"] == content("b")
    assert place.files()["clustered_events_a.jsonl"] == content("a")
    assert place.current() == "b"


def test_an_older_run_is_superseded_and_writes_nothing(place: Place) -> None:
    place.publish("b", NOON)
    before = place.files()
    for as_of in (NOON - HOUR, NOON - 48 * HOUR):
        done = place.publish("a", as_of)
        assert done.superseded
        assert done.current.job_id == "b"
    assert place.files() == before
    assert place.current() == "b"


def test_the_same_moment_is_not_older(place: Place) -> None:
    place.publish("a", NOON)
    assert not place.publish("b", NOON).superseded
    assert place.current() == "b"


def test_publishing_again_changes_nothing_or_brings_the_new_content(place: Place) -> None:
    first = place.publish("a", NOON)
    assert place.publish("a", NOON) == first
    place.publish("a", NOON, text="after a fix\n")
    assert set(place.files().values()) == {"after a fix\n"}


def again(place: Place, job: str, as_of: datetime) -> None:
    publish_files_again(
        report(job, as_of), label_uri=None, workspace=place.workspace, output=place.output
    )


def test_an_earlier_run_is_published_again_and_later_dates_are_withdrawn(place: Place) -> None:
    for days, job in enumerate("abc"):
        place.publish(job, NOON + days * 24 * HOUR)
        place.publish(job, NOON + days * 24 * HOUR, level="entities")
    before = place.files()
    again(place, "b", NOON + 24 * HOUR)
    assert place.current() == "b"
    assert set(before) - set(place.files()) == {"clustered_events_2026-03-03.jsonl"}
    assert before.items() > place.files().items()
    again(place, "c", NOON + 48 * HOUR)
    assert place.files() == before


def test_of_two_runs_of_a_day_the_earlier_one_takes_its_name_back(place: Place) -> None:
    place.publish("a", NOON)
    place.publish("b", NOON + HOUR)
    again(place, "a", NOON)
    assert place.files()["clustered_events_2026-03-01.jsonl"] == content("a")
    assert not place.publish("c", NOON + HOUR).superseded


def test_a_run_whose_own_file_is_gone_is_not_published_again(place: Place) -> None:
    place.publish("b", NOON + HOUR)
    before = place.files()
    with pytest.raises(BadInputError, match=r"events_a\.jsonl is gone"):
        again(place, "a", NOON)
    assert (place.files(), place.current()) == (before, "b")


def test_files_of_old_runs_and_days_are_removed_but_not_what_is_published(place: Place) -> None:
    for days, job in enumerate("abc"):
        place.publish(job, NOON + days * 24 * HOUR)
        place.publish(job, NOON + days * 24 * HOUR, level="entities")
    before = place.files()

    def remove(jobs: str, day: int) -> list[str]:
        return remove_files(
            *("events", jobs, date(2026, 3, day)), workspace=place.workspace, output=place.output
        )

    assert remove("ac", 2) == ["clustered_events_2026-03-01.jsonl", "clustered_events_a.jsonl"]
    assert remove("a", 2) == []
    assert remove("b", 9) == ["clustered_events_2026-03-02.jsonl", "clustered_events_b.jsonl"]
    kept = {"clustered_events_2026-03-03.jsonl", "clustered_events_c.jsonl"}
    assert set(place.files()) == kept | {name for name in before if "entities" in name}


def test_what_a_killed_publisher_was_writing_goes_when_it_is_old(local: Place) -> None:
    local.publish("a", NOON)
    published = local.files()
    folder = Path(local.output)
    drafts = [
        folder / f".clustered_{level}_{job}.jsonl.{'0f' * 16}"
        for level, job in (("events", "b"), ("events", "c"), ("entities", "d"))
    ]
    for each in drafts:
        each.write_text("half")
    for each in drafts[1:]:
        os.utime(each, (0, 0))
    gone = remove_files(
        *("events", "", date(2026, 1, 1)), workspace=local.workspace, output=local.output
    )
    assert gone == [drafts[1].name]
    assert {*local.files()} == {*published, drafts[0].name, drafts[2].name}


def test_nothing_is_removed_where_nothing_was_published(place: Place) -> None:
    day = date(2026, 3, 1)
    assert remove_files("events", "a", day, workspace=place.workspace, output=place.output) == []


def test_the_date_is_utcs(local: Place) -> None:
    east = timezone(timedelta(hours=9))
    local.publish("a", datetime(2026, 3, 2, 5, tzinfo=east))  # 20:00 of the day before in UTC
    assert "clustered_events_2026-03-01.jsonl" in local.files()


def test_levels_do_not_touch_each_other(local: Place) -> None:
    local.publish("a", NOON)
    assert not local.publish("b", NOON - HOUR, level="entities").superseded
    assert local.current() == "a"


def test_a_file_that_is_gone_is_named_and_nothing_changes(local: Place) -> None:
    local.publish("a", NOON)
    before = local.files()
    with pytest.raises(BadInputError, match=r"gone\.jsonl is gone"):
        publish_files(
            report("b", NOON + HOUR),
            clusters_jsonl=str(local.source / "gone.jsonl"),
            label_uri="",
            workspace=local.workspace,
            output=local.output,
        )
    assert local.files() == before
    assert local.current() == "a"


def test_labels_file_may_be_in_an_object_store(place: Place) -> None:
    source = UPath("memory://label/clusters.jsonl")
    source.write_text("one line\n")
    done = publish_files(
        report("a", NOON),
        clusters_jsonl=str(source),
        label_uri="",
        workspace=place.workspace,
        output=place.output,
    )
    assert UPath(done.current.clusters_jsonl).read_text() == "one line\n"
    assert UPath(done.current.dated_jsonl).read_text() == "one line\n"


@pytest.mark.parametrize("text", ["", "{", '{"job_id": "a"}', "[]"])
def test_a_damaged_pointer_is_named(local: Place, text: str) -> None:
    pointer = Path(local.workspace) / "events" / "published.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_text(text)
    with pytest.raises(BadInputError, match=r"published\.json is damaged"):
        local.publish("a", NOON)
    assert local.files() == {}


class Crash(BaseException):
    """What no handler expects, like the end of the process."""


class CrashPoint:
    """Ends the process, as it were, at the n-th operation on a file: before, inside or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.seen, self.at = 0, at
        replace, copy = Path.replace, shutil.copyfileobj

        def crashing_replace(path: Path, target: Path) -> Path:
            self.pass_one()
            result = replace(path, target)
            self.pass_one()
            return result

        def crashing_copy(source: Any, target: Any, length: int = 0) -> None:
            self.pass_one()
            target.write(source.read(10))
            self.pass_one()
            copy(source, target, length)

        monkeypatch.setattr(Path, "replace", crashing_replace)
        monkeypatch.setattr(shutil, "copyfileobj", crashing_copy)

    def pass_one(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise Crash


POINTS = 2 * 4 + 2  # two copies of four points each, and the pointer's two


@pytest.mark.parametrize("at", range(1, POINTS + 1))
def test_a_crash_leaves_whole_files_and_trying_again_completes(
    local: Place, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    local.publish("a", NOON)
    with monkeypatch.context() as crashing:
        CrashPoint(crashing, at)
        with pytest.raises(Crash):
            local.publish("b", NOON + HOUR)

    files = local.files()
    assert files.pop("clustered_events_a.jsonl") == content("a")
    assert files.pop("clustered_events_2026-03-01.jsonl") in (content("a"), content("b"))
    assert files.pop("clustered_events_b.jsonl", content("b")) == content("b")
    assert files == {}  # no temporary file either
    assert local.current() == ("b" if at == POINTS else "a")

    local.publish("b", NOON + HOUR)
    assert local.current() == "b"
    assert local.files()["clustered_events_2026-03-01.jsonl"] == content("b")
    assert local.files()["clustered_events_b.jsonl"] == content("b")


def test_the_crash_points_are_all_there_are(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    local.publish("a", NOON)
    counter = CrashPoint(monkeypatch, at=0)
    local.publish("b", NOON + HOUR)
    assert counter.seen == POINTS
