"""Digests of many texts, made without an object for each."""

from typing import Any

import numpy as np
import numpy.typing as npt

from clustering_tasks.engine.compile import kernel

# FNV-1a's, and a mix of the upper half into the lower at the end.
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_ODD, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)


def digest_texts(offsets: npt.NDArray[np.integer[Any]], data: bytes) -> npt.NDArray[np.uint64]:
    """Make a digest of each text: (n,) uint64.

    Args:
        offsets: (n + 1,) where each text begins in `data`, and where the last one ends.
        data: the texts, one after the other.
    """
    digests = np.empty(len(offsets) - 1, np.uint64)
    letters = np.frombuffer(data, np.uint8)
    write_text_digests(offsets.astype(np.int64), letters, digests)
    return digests


@kernel
def write_text_digests(offsets: Any, letters: Any, digests: npt.NDArray[np.uint64]) -> None:
    """Write the digest of each text."""
    for i in range(len(digests)):
        mixed = _BASIS
        for at in range(offsets[i], offsets[i + 1]):
            mixed = (mixed ^ np.uint64(letters[at])) * _PRIME
        mixed = (mixed ^ (mixed >> _HALF)) * _ODD
        digests[i] = mixed ^ (mixed >> _HALF)
