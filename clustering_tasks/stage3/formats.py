"""What a file is that is not what its name says, by its first bytes; no message has them."""

MOST_BYTES = 64

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: run `git lfs pull`"),
    (b"\x00\x00\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe\x00\x00", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"\xef\xbb\xbf", "text behind a byte order mark, which JSON does not have"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ\x00", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\x04\x22\x4d\x18", "compressed by lz4"),
    (b"PK\x03\x04", "a zip archive, such as numpy's .npz"),
    (b"\x93NUMPY", "an array of numpy (.npy)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x80", "a pickle, which is refused because loading one runs its code"),
)


def other_format(start: bytes) -> str | None:
    """Name the kind of a file that begins so; None for what may be JSON or a FAISS index."""
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return name
    if start[1:2] == b"\x00" and start[3:4] == b"\x00" and start[:1] in b"{[ ":
        return "UTF-16 text"
    return None
