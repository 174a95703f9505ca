"""The GPUs of one `cluster` task: whether they are used, why not, and the memory in use on them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from clustering_tasks.engine.gpu import gpu_count, why_no_gpu, work_bytes
from clustering_tasks.errors import ResourcesError, SettingsError
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.workspace.artefacts import Metric, Run
from clustering_tasks.workspace.gpu_cards import Card, has_driver, read_cards
from clustering_tasks.workspace.gpu_readings import GpuReading, write_reading

log = structlog.get_logger()

# Of a card's memory, that is in use at most: 14 GB of 16. The rest is for its other users.
_MOST_SHARE = 7 / 8


@dataclass
class GpuUse:
    """The GPUs of one task.

    Attributes:
        run: of the task.
        usable: whether a search may ask for the cards.
        reason: why the task does without a GPU in all or part of its search; None: it does not, or
            it was given none.
        readings: memory by the uuid of a card that was used.
    """

    run: Run
    usable: bool = False
    reason: str | None = None
    readings: dict[str, GpuReading] = field(default_factory=dict)

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
            self._begin(cards[number])
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

    def read(self) -> None:
        """Read the memory in use now, on the cards that are used."""
        for card in self._used():
            before = self.readings[card.uuid]
            self._write(
                before,
                memory_peak_bytes=max(before.memory_peak_bytes, card.used_bytes),
                utilisation_percent=card.utilisation_percent,
            )

    def close(self) -> None:
        """Read the memory in use after the last search."""
        for card in self._used():
            self._write(self.readings[card.uuid], memory_after_bytes=card.used_bytes)

    def metrics(self) -> dict[str, Metric]:
        """Return how many GPUs were used, the memory of the fullest one, and the reason."""
        used = self.readings.values()
        fullest = max(used, key=lambda r: r.memory_peak_bytes / r.memory_total_bytes, default=None)
        return {
            "gpus": len(used),
            "gpu_reason": self.reason,
            **{f"gpu_{name}": getattr(fullest, name, None) for name in MEMORY},
        }

    def _begin(self, card: Card) -> None:
        if card.uuid not in self.readings:
            reading = GpuReading(
                uuid=card.uuid,
                name=card.name,
                memory_total_bytes=card.total_bytes,
                memory_before_bytes=card.used_bytes,
                memory_peak_bytes=card.used_bytes,
                utilisation_percent=card.utilisation_percent,
                job_id=self.run.job_id,
                measured_at=datetime.now(UTC),
            )
            self._write(reading)

    def _used(self) -> Iterator[Card]:
        if self.readings:
            yield from (card for card in read_cards() if card.uuid in self.readings)

    def _write(self, reading: GpuReading, **changed: float | None) -> None:
        now = reading.model_copy(update={**changed, "measured_at": datetime.now(UTC)})
        self.readings[now.uuid] = now
        write_reading(self.run.workspace, now)


MEMORY = ("memory_total_bytes", "memory_before_bytes", "memory_peak_bytes", "memory_after_bytes")


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
