"""Clocks that jump: only processes with the clock's environment see them.

A preloaded library shifts the time of day (`clock.c`; libfaketime lets Python's `time.sleep` fail).
Time that is measured goes on, as on a machine whose clock is set. Times of files are the machine's.
"""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
COMPILER = shutil.which("cc")


@dataclass(frozen=True)
class Clock:
    """A clock; `path` holds by how many seconds it differs from the machine's."""

    path: Path
    library: Path

    @property
    def environment(self) -> dict[str, str]:
        """What lets a process, and those that it starts, live by this clock."""
        return {"LD_PRELOAD": str(self.library), "CHAOS_CLOCK": str(self.path)}

    def jump(self, seconds: float, back_after: float) -> None:
        """Jump by so many seconds, ahead or (negative) behind, and back after a while."""
        self.set(seconds)
        time.sleep(back_after)
        self.set(0)

    @property
    def offset(self) -> int:
        """By how many seconds it differs now."""
        return int.from_bytes(self.path.read_bytes(), "little", signed=True)

    def set(self, seconds: float) -> None:
        """Let it differ from the machine's clock."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(round(seconds).to_bytes(8, "little", signed=True))


def clocks(folder: Path) -> dict[str, Clock]:
    """A clock of Airflow's `services` and tasks, one of the `steps`; none without a compiler."""
    folder.mkdir()
    if COMPILER is None:
        return {}
    library = folder / "clock.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O2", "-o", library, SOURCE], check=True)
    made = {name: Clock(folder / name, library) for name in ("services", "steps")}
    for each in made.values():
        each.set(0)
    return made
