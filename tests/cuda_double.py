"""A test double of CUDA, and of nothing else: there is no GPU on the machines that run the tests.

`Machine` puts cards under FAISS's package for CPUs. An index "on a card" is a real index of FAISS
on the CPU; the double counts what a real one would allocate, and fails where and how FAISS does:

| what | a real one | the double |
|---|---|---|
| first use of a card without room for CUDA | aborts the process | `Aborted`, a BaseException |
| `index_cpu_to_gpu`: memory for searching | RuntimeError | the same, with FAISS's message |
| `add`: the old and the new place at once | RuntimeError | the same |
| `search`: what exceeds the memory for searching | RuntimeError | the same |
| `nvidia-smi` | the driver's tool | a script that prints the counts of the double |

It does not round to half precision, and takes no time. What FAISS does was read in its sources, and
its package for GPUs was loaded without a driver; no GPU has run it.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from clustering_tasks.arrays import F32, I64
from clustering_tasks.workspace import gpu_cards

GIB = 1 << 30
CONTEXT = 400 << 20  # what CUDA and FAISS's kernels take
WORKING = 1 * GIB  # of a search, beside its queries
_MIB = 1 << 20

_NVIDIA_SMI = """#!{python}
import json
open({state!r} + ".starts", "a").write("x")
for card in json.load(open({state!r})):
    print(*card, sep=", ")
"""


class Aborted(BaseException):
    """The process has ended in FAISS's `CUDA_VERIFY`; nothing can catch that."""


@dataclass
class CudaCard:
    """One card: bytes in all, used by others, and by FAISS in this process."""

    number: int
    total: int = 16 * GIB
    others: int = 0
    own: int = 0
    opened: bool = False
    on_change: Callable[[], None] = lambda: None

    def take(self, size: int, kind: str) -> None:
        """Allocate, or fail as `StandardGpuResources` does."""
        if self.own + self.others + size > self.total:
            raise RuntimeError(
                "Error in virtual void* faiss::gpu::StandardGpuResourcesImpl::allocMemory(const "
                "faiss::gpu::AllocRequest&) at /project/faiss/gpu/StandardGpuResources.cpp:530: "
                "Error: 'err == cudaSuccess' failed: StandardGpuResources: alloc fail type "
                f"{kind} dev {self.number} space Device stream 0x1 size {size} bytes "
                "(cudaMalloc error out of memory [2])\n"
            )
        self.own += size
        self.on_change()

    def free(self, size: int) -> None:
        self.own -= size
        self.on_change()

    def open(self) -> None:
        """Take CUDA's own part, once."""
        if not self.opened:
            if self.own + self.others + CONTEXT > self.total:
                raise Aborted(f"CUDA_VERIFY on GPU {self.number}")
            self.opened = True
            self.take(CONTEXT, "Context")


class Resources:
    """`StandardGpuResources`: memory for searching, taken at the first use of a card."""

    def __init__(self) -> None:
        self.work = 1536 * _MIB

    def setTempMemory(self, size: int) -> None:  # noqa: N802 - FAISS's name
        self.work = size


@dataclass
class Options:
    """`GpuClonerOptions`, as far as it is set."""

    useFloat16: bool = False  # noqa: N815 - FAISS's name


class GpuIndex:
    """An index of FAISS on the CPU, in the accounts of a card."""

    def __init__(
        self, machine: "Machine", card: CudaCard, resources: Resources, index: Any
    ) -> None:
        self._machine, self._card, self._index = machine, card, index
        self._work = self._kept = 0
        self.half = False
        card.open()
        card.take(resources.work, "TemporaryMemoryBuffer")
        self._work = resources.work

    def _grow(self, rows: int) -> None:
        new = rows * self._index.d * (2 if self.half else 4) * self._machine.scale
        self._card.take(new, "FlatData")  # beside the old place, which is freed then
        self._card.free(self._kept)
        self._kept = new

    @property
    def is_trained(self) -> bool:
        return bool(self._index.is_trained)

    def train(self, rows: F32) -> None:
        self._machine.trained.append(self._card.number)
        self._index.train(rows)

    def add(self, rows: F32) -> None:
        self._machine.before("add", self._card)
        self._grow(self._index.ntotal + len(rows))
        self._index.add(rows)

    def search(self, queries: F32, count: int) -> tuple[F32, I64]:
        self._machine.before("search", self._card)
        self._machine.batches.append((self._card.number, len(queries)))
        need = WORKING + len(queries) * (4 * self._index.d + 12 * count) * self._machine.scale
        over = max(need - self._work, 0)
        self._card.take(over, "TemporaryMemoryOverflow")
        self._card.free(over)
        found: tuple[F32, I64] = self._index.search(np.ascontiguousarray(queries), count)
        return found

    def on_cpu(self) -> Any:
        return faiss.clone_index(self._index)

    def __del__(self) -> None:
        self._card.free(self._kept + self._work)


class Machine:
    """A machine with cards, as FAISS and nvidia-smi show it.

    Args:
        patch: undoes it all.
        folder: of the files that stand for the driver.
        cards: in CUDA's order.
        scale: bytes that are counted for each byte of a vector: small tests fill large cards.
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, folder: Path, *cards: CudaCard, scale: int = 1
    ) -> None:
        self.cards, self.scale = cards, scale
        self.batches: list[tuple[int, int]] = []
        self.trained: list[int] = []
        self.before: Callable[[str, CudaCard], None] = _nothing
        self._state = folder / "cards.json"
        for card in cards:
            card.on_change = self.show
        self.show()
        self._install(patch, folder)

    @property
    def starts(self) -> int:
        """How often nvidia-smi was started."""
        log = self._state.with_name(f"{self._state.name}.starts")
        return len(log.read_text()) if log.exists() else 0

    def show(self) -> None:
        """Write what nvidia-smi prints."""
        rows = [
            (f"GPU-{c.number}", "Double 16GB", c.total // _MIB, (c.own + c.others) // _MIB, 7)
            for c in self.cards
        ]
        self._state.write_text(json.dumps(rows))

    def _install(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        driver, program = folder / "nvidiactl", folder / "nvidia-smi"
        driver.touch()
        program.write_text(_NVIDIA_SMI.format(python=sys.executable, state=str(self._state)))
        program.chmod(0o755)
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        patch.setattr(gpu_cards, "_DRIVERS", (driver,))
        patch.setattr(faiss, "get_num_gpus", lambda: len(self.cards))
        patch.setattr(faiss, "StandardGpuResources", Resources, raising=False)
        patch.setattr(faiss, "GpuClonerOptions", Options, raising=False)
        patch.setattr(faiss, "index_cpu_to_gpu", self._to_gpu, raising=False)
        patch.setattr(faiss, "index_gpu_to_cpu", lambda index: index.on_cpu(), raising=False)

    def _to_gpu(self, resources: Resources, device: int, index: Any, options: Options) -> GpuIndex:
        made = GpuIndex(self, self.cards[device], resources, faiss.clone_index(index))
        made.half = options.useFloat16
        return made


def _nothing(act: str, card: CudaCard) -> None:
    """Happens before FAISS acts on a card, unless a test has something happen."""
