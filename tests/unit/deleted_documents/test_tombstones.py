"""Keyed hashes of deleted documents, and the file that the steps read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from clustering_tasks.deleted_documents.tombstones import (
    NONE_DELETED,
    Tombstones,
    document_hash,
    key_check,
    read_tombstones,
    tombstones,
    write_tombstones,
)
from clustering_tasks.errors import BadInputError, SettingsError

SECRET = "a secret of the tests"


def of(*documents: str, secret: str = SECRET) -> Tombstones:
    hashes = [document_hash(secret, name) for name in documents]
    return tombstones(secret, hashes, {key_check(secret)})


@given(st.sets(st.text(min_size=1)), st.sets(st.text(min_size=1)))
def test_exactly_the_deleted_documents_are_found(deleted: set[str], others: set[str]) -> None:
    found = of(*deleted)
    assert found.among([*deleted, *others, None]) == deleted
    assert all((name in found) == (name in deleted) for name in deleted | others)
    assert None not in found


def test_what_is_written_is_read_and_says_no_id(tmp_path: Path) -> None:
    workspace = UPath(tmp_path)
    assert read_tombstones(workspace, None) == NONE_DELETED
    write_tombstones(workspace, of("doc_001", "doc_002"))
    assert read_tombstones(workspace, SECRET) == of("doc_002", "doc_001")
    said = (tmp_path / "deleted.json").read_text()
    assert "doc_" not in said
    assert SECRET not in said


def test_another_secret_or_none_is_refused(tmp_path: Path) -> None:
    write_tombstones(UPath(tmp_path), of("doc_001"))
    with pytest.raises(SettingsError, match="is not set"):
        read_tombstones(UPath(tmp_path), None)
    with pytest.raises(SettingsError, match="is not the secret"):
        read_tombstones(UPath(tmp_path), "another secret of the tests")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"hashes": []}'])
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "deleted.json").write_text(content)
    with pytest.raises(BadInputError, match="damaged"):
        read_tombstones(UPath(tmp_path), SECRET)


def test_the_digest_tells_sets_of_tombstones_apart() -> None:
    assert of("a", "b").digest == of("b", "a").digest
    assert len({of("a").digest, of("b").digest, of("a", "b").digest}) == 3
