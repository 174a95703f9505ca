"""The GPU's path on a double of CUDA (tests/cuda_double.py): there is no GPU here."""

import threading
from pathlib import Path

import faiss
import numpy as np
import pytest

from clustering_tasks.engine import gpu as module
from clustering_tasks.engine.gpu import (
    batch_rows,
    build_replicas,
    propose,
    why_no_gpu,
    without_self,
    work_bytes,
)
from clustering_tasks.engine.neighbours import SPARE, exact_neighbours
from tests.cuda_double import CONTEXT, GIB, Aborted, CudaCard, Machine
from tests.stage3_folder import blobs, scattered

VECTORS = blobs([120, 80, 60], noise=140, dimension=32)
N = len(VECTORS)
WORK = 1536 << 20


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch, tmp_path, CudaCard(0))


@pytest.fixture
def two_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch, tmp_path, CudaCard(0), CudaCard(1))


def test_an_inverted_file_is_trained_once_and_finds_nearly_all(
    two_cards: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FLAT_ROWS", 100)
    monkeypatch.setattr(module, "_ROWS", 64)
    replicas = build_replicas(VECTORS, 18, False, {0: WORK, 1: WORK})
    assert two_cards.trained == [0]
    found = propose(replicas, VECTORS, np.arange(N), 32)
    exact = exact_neighbours(VECTORS, 0, N, 32)
    assert found.done.all()
    same = (found.ids[:, :16, None] == exact.ids[:, None, :16]).any(axis=2).mean()
    assert 0.8 < same < 1


def test_without_memory_the_batch_is_halved_until_it_fits(machine: Machine) -> None:
    many = scattered(6000)
    machine.scale = 1000
    replicas = build_replicas(many, 8, False, {0: WORK})
    machine.cards[0].others = machine.cards[0].total - machine.cards[0].own  # the rest
    found = propose(replicas, many, np.arange(len(many)), 5)
    assert found.done.all()
    sizes = [size for _, size in machine.batches]
    assert sizes[:3] == [6000, 3000, 1500]
    assert replicas[0].batch == 1024
    flat = faiss.IndexFlatIP(many.shape[1])
    flat.add(many)
    ids = without_self(flat.search(many, 5 + SPARE + 1)[1], np.arange(len(many)))
    np.testing.assert_array_equal(found.ids, ids)


def test_what_was_found_before_memory_ran_out_is_kept(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS", 1024)
    many = scattered(6000)
    replicas = build_replicas(many, 8, False, {0: WORK})

    def fill(act: str, card: CudaCard) -> None:
        if len(machine.batches) == 3:  # another process takes the card, and more than is there
            card.others = card.total
            machine.scale = 1_000_000

    machine.before = fill
    found = propose(replicas, many, np.arange(100, 6000), 5)
    assert found.done[: 3 * 1024].all()
    assert not found.done[3 * 1024 :].any()
    assert "out of memory" in found.errors[0]
    assert "/project/" not in found.errors[0]
    assert (found.ids[: 3 * 1024] >= 0).all()


def test_two_cards_share_the_queries_and_one_takes_over(
    two_cards: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS", 1024)
    many = scattered(12_000)
    replicas = build_replicas(many, 8, False, {0: WORK, 1: WORK})
    started = threading.Barrier(2, timeout=20)
    waited: set[int] = set()

    def fill(act: str, card: CudaCard) -> None:
        if card.number not in waited:
            waited.add(card.number)
            started.wait()  # both have a tile
        elif card.number == 1:
            raise RuntimeError("cudaMalloc error out of memory [2]")

    two_cards.before = fill
    found = propose(replicas, many, np.arange(12_000), 5)
    assert found.done.all()
    assert {number for number, _ in two_cards.batches} == {0, 1}
    assert len(found.errors) == 1
    assert found.errors[0].startswith("GPU 1")


@pytest.mark.parametrize("act", ["clone", "add"])
def test_a_card_that_cannot_hold_the_index_leaves_it_to_the_other(
    two_cards: Machine, act: str
) -> None:
    card = two_cards.cards[1]

    def fill(what: str, at: CudaCard) -> None:
        card.others = card.total

    if act == "clone":
        card.others = card.total - CONTEXT - GIB
    else:
        two_cards.before = fill
    replicas = build_replicas(VECTORS, 8, False, {0: WORK, 1: WORK})
    assert [replica.device for replica in replicas] == [0]
    assert card.own == CONTEXT  # what FAISS had taken there is free


def test_no_card_can_hold_the_index(machine: Machine) -> None:
    machine.cards[0].others = machine.cards[0].total - CONTEXT - GIB
    with pytest.raises(MemoryError, match=r"GPU 0: alloc fail .*out of memory"):
        build_replicas(VECTORS, 8, False, {0: WORK})


def test_other_errors_of_an_index_are_not_taken_for_want_of_memory(machine: Machine) -> None:
    replicas = build_replicas(VECTORS, 8, False, {0: WORK})

    def fail(act: str, card: CudaCard) -> None:
        raise RuntimeError("CUDA error 700 an illegal memory access was encountered")

    machine.before = fail
    with pytest.raises(RuntimeError, match="illegal memory access"):
        propose(replicas, VECTORS, np.arange(N), 5)


def test_a_full_card_would_end_the_process(machine: Machine) -> None:
    """Why nvidia-smi is asked first: what the double raises here nothing can catch."""
    machine.cards[0].others = machine.cards[0].total
    with pytest.raises(Aborted):
        build_replicas(VECTORS, 8, False, {0: WORK})


@pytest.mark.parametrize("float16", [False, True])
def test_an_index_that_should_fit_does(
    machine: Machine, float16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forecast is at least what the double counts, whose copies are FAISS's."""
    monkeypatch.setattr(module, "_ROWS", 100)
    rows, dimension = VECTORS.shape
    machine.scale = 30_000
    need = work_bytes(1 << 50, rows, dimension * machine.scale, float16)
    assert need == WORK
    card = machine.cards[0]
    available = next(
        size
        for size in range(GIB, 64 * GIB, 1 << 26)
        if work_bytes(size, rows, dimension * machine.scale, float16)
    )
    card.total = available
    work = work_bytes(available, rows, dimension * machine.scale, float16)
    (replica,) = build_replicas(VECTORS, 8, float16, {0: work})
    replica.batch = 1
    assert card.own <= available


def test_what_is_left_for_searching_follows_from_the_free_memory() -> None:
    sizes = [work_bytes(free << 20, 1_000_000, 768, False) for free in (6000, 7000, 9000, 14_000)]
    assert sizes[0] == 0
    assert 256 << 20 < sizes[1] < WORK
    assert sizes[2:] == [WORK, WORK]
    assert work_bytes(6000 << 20, 1_000_000, 768, True) == WORK
    assert batch_rows(WORK, 768, 32) == 65_536
    assert 1024 <= batch_rows(256 << 20, 768, 32) < 65_536
    assert batch_rows(1 << 20, 768, 32) == 1024


def test_a_row_is_not_its_own_candidate_even_behind_copies() -> None:
    found = np.array([[0, 3, 2], [4, 2, 3], [0, 2, 1]])
    np.testing.assert_array_equal(without_self(found, np.arange(3)), [[3, 2], [4, 2], [0, 1]])
    np.testing.assert_array_equal(
        without_self(found, np.array([3, 4, 9])), [[0, 2], [2, 3], [0, 2]]
    )


def test_why_there_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    assert "no driver" in str(why_no_gpu())
    machine = request.getfixturevalue("machine")
    assert why_no_gpu() is None
    machine.cards = ()
    assert "CUDA_VISIBLE_DEVICES" in str(why_no_gpu())
    monkeypatch.delattr(faiss, "StandardGpuResources")
    assert "stage4-clustering:gpu" in str(why_no_gpu())


def test_an_index_takes_the_memory_for_searching_that_it_was_given(machine: Machine) -> None:
    replicas = build_replicas(VECTORS, 8, False, {0: 300 << 20})
    assert machine.cards[0].own == CONTEXT + (300 << 20) + VECTORS.nbytes
    del replicas
    assert machine.cards[0].own == CONTEXT
