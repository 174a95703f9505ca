"""The sample corpus: a Stage 3 folder of fictional news, for the demo, the tests and the docs.

Every name, place and organisation in it is invented. The texts come from the story templates of
`stories/*.toml`, the vectors from a deterministic encoder without a model (`encoder.py`).
"""

from __future__ import annotations

from pathlib import Path

MIN_DOCUMENTS = 10
"""Below this no story has room for two documents beside the singles."""


def write_sample(
    folder: Path, documents: int = 420, seed: int = 0, days: int | None = None
) -> dict[str, int]:
    """Write the four index pairs and `gold.json` to `folder`; return the vectors of each level.

    The folder appears complete or not at all. The same `documents` and `seed` give the same bytes;
    a folder that has them already is left as it is.
    With `days` it has the documents that are published in the first days of the sample's 60, each
    as in the whole sample. Raises ValueError if `documents` is under `MIN_DOCUMENTS` or no document
    is left, FileExistsError if `folder` exists and is neither this sample nor an empty directory.
    """
    # Imported here: naming this package (as the command line does) must not load FAISS.
    from local.sample.writer import write_folder

    if documents < MIN_DOCUMENTS:
        raise ValueError(
            f"the sample needs at least {MIN_DOCUMENTS} documents, got {documents}: "
            f"ask for {MIN_DOCUMENTS} or more"
        )
    return write_folder(folder, documents, seed, days)
