"""`python -m local.sample FOLDER`: write a Stage 3 folder of fictional news, with gold clusters."""

import argparse
import json
import sys
from pathlib import Path

from local.sample import write_sample


def main() -> int:
    """Write the folder, print the vectors of each level as JSON; 64 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m local.sample", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write it; new, empty, or this sample")
    parser.add_argument("--documents", type=int, default=420, help="news documents (420)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other news (0)")
    parser.add_argument(
        "--days", type=int, help="only what is published in the first days of the sample's 60"
    )
    given = parser.parse_args()
    try:
        print(json.dumps(write_sample(given.folder, given.documents, given.seed, given.days)))
    except (ValueError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 64
    return 0


if __name__ == "__main__":
    sys.exit(main())
