"""The GPUs of one `cluster` task: whether they are used, why not, and the memory in use on them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import structlog

from clustering_tasks.engine.gpu import gpu_count, why_no_gpu, work_bytes
from clustering_tasks.errors import ResourcesError, SettingsError
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.workspace.artefacts import GpuReading, Run
from clustering_tasks.workspace.gpu_cards import Card, has_driver, read_cards

log = structlog.get_logger()

# Of a card's memory, that is in use at most: 14 GB of 16. The rest is for its other users.
_MOST_SHARE = 7 / 8
# All batches of a card take the same memory, and each reading starts a program.
_READ_SECONDS = 10.0


@dataclass
class GpuUse:
    """The GPUs of one task.

    Attributes:
        run: of the task.
        usable: whether a search may ask for the cards.
        reason: why the task does without a GPU in all or part of its search; None: it does not, or
            it was given none.
        readings: memory of the cards that had room, by CUDA's number.
        searched: the cards that have searched a batch.
    """

    run: Run
    usable: bool = False
    reason: str | None = None
    readings: dict[int, GpuReading] = field(default_factory=dict)
    searched: set[int] = field(default_factory=set)
    _read_at: dict[int, float] = field(default_factory=dict)

    def room(self, rows: int, dimension: int) -> dict[int, int]:
        """Find the cards that have room for an index; without any the reason is kept.

        Args:
            rows: of the index.
            dimension: of the vectors.

        Returns:
            by CUDA's number of a card, bytes for searching; see `work_bytes`.

        Raises:
            ResourcesError: there is no room, and `neighbours.device=gpu`.
        """
        self._read_at.clear()  # another index takes other memory
        cards = read_cards()
        if len(cards) != gpu_count():
            self.give_up(
                f"nvidia-smi shows the memory of {len(cards)} GPUs and CUDA has {gpu_count()}: "
                "without knowing their free memory none is used"
            )
            return {}
        float16 = self.run.settings.neighbours.float16
        left = {
            i: work_bytes(_available(card), rows, dimension, float16)
            for i, card in enumerate(cards)
        }
        found = {number: work for number, work in left.items() if work}
        for number in found:
            self.readings.setdefault(number, _first_reading(cards[number]))
        if not found:
            self.give_up("; ".join(_no_room(cards)))
        return found

    def give_up(self, reason: str) -> None:
        """Keep and log why a search goes on without a GPU.

        Raises:
            ResourcesError: `neighbours.device=gpu` demands one.
        """
        if self.run.settings.neighbours.device == "gpu":
            raise ResourcesError(
                f"{reason}. Free the card, raise STAGE4_GPU_MEMORY_BYTES, set "
                "neighbours.float16=true, or neighbours.device=auto, which takes the CPU then"
            )
        log.warning("the CPU takes over from the GPU", reason=reason)
        self.reason = reason

    def read(self, device: int) -> None:
        """Read the memory in use now, after a batch on one card, if that was not done just now."""
        self.searched.add(device)
        now = monotonic()
        if now - self._read_at.get(device, -_READ_SECONDS) < _READ_SECONDS:
            return
        self._read_at[device] = now
        for number, card in self._cards():
            self._update(
                number,
                memory_peak_bytes=max(self.readings[number].memory_peak_bytes, card.used_bytes),
                utilisation_percent=card.utilisation_percent,
            )

    def close(self) -> list[GpuReading]:
        """Read the memory in use after the last search; return that of the cards that searched."""
        for number, card in self._cards():
            self._update(number, memory_after_bytes=card.used_bytes)
        return [self.readings[number] for number in sorted(self.searched)]

    def _cards(self) -> list[tuple[int, Card]]:
        if not self.searched:
            return []
        return [(n, card) for n, card in enumerate(read_cards()) if n in self.readings]

    def _update(self, number: int, **read: float | None) -> None:
        changed = {**read, "measured_at": datetime.now(UTC)}
        self.readings[number] = self.readings[number].model_copy(update=changed)


def _first_reading(card: Card) -> GpuReading:
    return GpuReading(
        uuid=card.uuid,
        name=card.name,
        memory_total_bytes=card.total_bytes,
        memory_before_bytes=card.used_bytes,
        memory_peak_bytes=card.used_bytes,
        memory_after_bytes=card.used_bytes,
        utilisation_percent=card.utilisation_percent,
        measured_at=datetime.now(UTC),
    )


def gpu_use(run: Run) -> GpuUse:
    """Look for GPUs, if the run may use them.

    Raises:
        SettingsError: `neighbours.device=gpu`, and there is none.
    """
    device = run.settings.neighbours.device
    given = deployment().gpu or has_driver()
    if device == "cpu":
        return GpuUse(run, reason="neighbours.device=cpu" if given else None)
    reason = why_no_gpu()
    if reason is None and run.settings.temporal.window_days is not None:
        reason = "temporal.window_days is set, and FAISS's index knows no dates"
    if reason is not None and device == "gpu":
        raise SettingsError(f"neighbours.device=gpu demands a GPU: {reason}")
    if reason is not None and given:
        log.warning("no GPU is used", reason=reason)
    return GpuUse(run, usable=reason is None, reason=reason if given else None)


def _available(card: Card) -> int:
    return _most_bytes(card) - card.used_bytes


def _most_bytes(card: Card) -> int:
    return min(
        deployment().gpu_memory_bytes or int(card.total_bytes * _MOST_SHARE), card.total_bytes
    )


def _no_room(cards: list[Card]) -> Iterator[str]:
    for card in cards:
        total, used, most = (
            f"{size / 1e9:.1f} GB"
            for size in (card.total_bytes, card.used_bytes, _most_bytes(card))
        )
        yield (
            f"the index does not fit on {card.name} of {total}: {used} are in use, and at most "
            f"{most} may be"
        )
