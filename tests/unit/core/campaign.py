"""Many schedules of the core, by `make campaign SEED=1 SCHEDULES=1000000`.

Prints what was done; ends with 1 and the seed of the first schedule in which something did not
hold, which `python -m tests.unit.core.campaign --only SEED` performs again.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.unit.core.schedules import perform

_BATCH = 2000


def perform_all(seeds: Iterable[int], acts: int = 12) -> Counter[str]:
    """Perform schedules; returns how often each act was done, `killed`, and `schedules`.

    Raises:
        AssertionError: something does not hold; the message begins with the seed.
    """
    done = Counter[str]()
    for seed in seeds:
        try:
            done += perform(seed, acts)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        done["schedules"] += 1
    return done


def main() -> None:
    """Perform a campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schedules", type=int, default=1_000_000)
    parser.add_argument("--acts", type=int, default=30)
    parser.add_argument("--only", type=int)
    asked = parser.parse_args()
    if asked.only is not None:
        perform_all([asked.only], asked.acts)
        return
    first = asked.seed * 1_000_000_000  # so that no two campaigns share a schedule
    last = first + asked.schedules
    seeds = [range(at, min(at + _BATCH, last)) for at in range(first, last, _BATCH)]
    done = Counter[str]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for each in pool.map(partial(perform_all, acts=asked.acts), seeds):
            done += each
    for name, count in sorted(done.items()):
        print(f"{name}: {count:,}")  # noqa: T201


if __name__ == "__main__":
    main()
