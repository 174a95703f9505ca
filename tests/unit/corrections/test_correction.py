"""What is a correction, and what a file of them may hold; titles and ids are hostile text."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from upath import UPath

from clustering_tasks.corrections.correction import Correction
from clustering_tasks.corrections.frozen import freeze, links_digest, read_file, read_frozen
from clustering_tasks.errors import BadInputError

ID = "event_0123456789ab"
TOGETHER = {"kind": "together", "items": ["a1", "b1"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "together", "items": ["a1"]},
        {"kind": "together", "items": ["a1", "a1"]},
        {"kind": "together", "items": ["a1", "b1"], "others": ["c1"]},
        {"kind": "together", "items": ["a1", "b1"], "cluster_id": ID},
        {"kind": "together", "items": [f"i{n}" for n in range(201)]},
        {"kind": "apart", "items": ["a1"]},
        {"kind": "apart", "items": ["a1", "b1"], "others": ["b1"]},
        {"kind": "rename", "cluster_id": ID},
        {"kind": "rename", "label": "A"},
        {"kind": "rename", "cluster_id": ID, "label": "\u200b\u202e "},
        {"kind": "rename", "cluster_id": ID, "label": "x" * 201},
        {"kind": "pin", "cluster_id": ID, "label": "A"},
        {"kind": "pin", "cluster_id": "event_0123456789AB'; DROP"},
        {"kind": "hide", "cluster_id": ID, "items": ["a1"]},
        {"kind": "together", "items": ["a1", "b\n1"]},
        {"kind": "together", "items": ["a1", "\ud800"]},
        {"kind": "together", "items": ["a1", "x" * 600]},
        {"kind": "forget", "items": ["a1", "b1"]},
        {"kind": "pin", "cluster_id": ID, "until": "tomorrow"},
    ],
)
def test_what_is_no_correction_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Correction.model_validate({"correction_id": 1} | wrong)


def test_a_label_is_one_line_that_can_be_seen() -> None:
    given = {
        "kind": "rename",
        "cluster_id": ID,
        "label": " <b>Summit</b>\r\nof \u202ethe G7\x1b[31m ",
    }
    assert Correction.model_validate({"correction_id": 1} | given).label == "Summit of the G7"


def test_what_is_frozen_is_read_again_and_has_one_name(tmp_path: Path) -> None:
    one = Correction.model_validate({"correction_id": 7} | TOGETHER)
    two = Correction.model_validate({"correction_id": 9, "kind": "pin", "cluster_id": ID})
    digest = freeze(UPath(tmp_path), "events", [two, one])
    assert digest == freeze(UPath(tmp_path), "events", [one, two])
    assert read_frozen(UPath(tmp_path), "events", digest) == [one, two]
    assert [path.name for path in (tmp_path / "events" / "corrections").iterdir()] == [
        f"{digest}.json"
    ]


def test_without_corrections_there_is_no_file(tmp_path: Path) -> None:
    assert freeze(UPath(tmp_path), "events", []) is None
    assert read_frozen(UPath(tmp_path), "events", None) == []
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    digest = freeze(UPath(tmp_path), "events", [Correction(correction_id=1, **TOGETHER)])
    (tmp_path / "events" / "corrections" / f"{digest}.json").write_text("[{")
    with pytest.raises(BadInputError, match="clear `check_stage3`"):
        read_frozen(UPath(tmp_path), "events", digest)


def test_a_name_does_not_change_what_merge_reads() -> None:
    one = Correction(correction_id=1, **TOGETHER)
    name = Correction(correction_id=2, kind="rename", cluster_id=ID, label="A")
    assert links_digest([one, name]) == links_digest([one]) != links_digest([])
    assert links_digest([name]) is None


def written(folder: Path, content: object) -> UPath:
    path = folder / "corrections.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return UPath(path)


def test_a_file_is_numbered_and_may_give_reasons(tmp_path: Path) -> None:
    path = written(
        tmp_path, [TOGETHER | {"reason": "same vote"}, {"kind": "pin", "cluster_id": ID}]
    )
    assert [each.correction_id for each in read_file(path, "event")] == [1, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[", "not valid JSON"),
        ("7", "no array"),
        ([7], "correction 1"),
        ([TOGETHER, {"kind": "together", "items": ["x"]}], "correction 2: .*two items"),
        ([TOGETHER | {"correction_id": 4}] * 2, "4 is given twice"),
        ([{"kind": "pin", "cluster_id": "entity_0123456789ab"}], "no cluster of this level"),
        (
            [TOGETHER, {"kind": "apart", "items": ["a1"], "others": ["b1"]}],
            "2 contradicts 1",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        read_file(written(tmp_path, content), "event")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no file"):
        read_file(UPath(tmp_path / "none.json"), "event")
