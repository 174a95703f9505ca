"""Entry point of the tests' image: waits while `<workspace>/hold-<step>` exists, then is the step.

While it waits it is deaf to SIGTERM, as a step inside a long call of a library is.
"""

import os
import signal
import sys
import time
from pathlib import Path

arguments = sys.argv[1:]
hold = Path(arguments[arguments.index("--workspace") + 1], f"hold-{arguments[0]}")
before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
while hold.exists():
    time.sleep(0.1)
signal.signal(signal.SIGTERM, before)
os.execvp("python", ["python", "-m", "clustering_tasks", *arguments])  # noqa: S606 - no shell is wanted
