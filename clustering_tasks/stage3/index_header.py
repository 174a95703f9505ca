"""The head of a FAISS index file, read without numpy: Airflow's worker need not have it."""

import struct
from typing import BinaryIO

KIND = struct.Struct("4s")
HEADER = struct.Struct("<iqqq?i")  # dimension, vectors, two unused numbers, is trained, metric
FLAT = (b"IxFI", b"IxF2")  # inner product, L2
ID_MAPS = (b"IxMp", b"IxM2")


def promised_vectors(file: BinaryIO) -> int | None:
    """Read how many vectors an index says it holds; None: it is no index that `snapshot` reads.

    Args:
        file: at its beginning.
    """
    head = file.read(KIND.size + HEADER.size)
    if len(head) < KIND.size + HEADER.size or head[: KIND.size] not in (*FLAT, *ID_MAPS):
        return None
    count: int = HEADER.unpack_from(head, KIND.size)[1]
    return count
