"""Entry point of `python -m clustering_tasks`."""

import gc

# What is imported is no garbage, and to look for some among a million objects of libraries took .25
# of the 1.45 s of processor time after which a step begins. The command line enables it then.
gc.disable()

from clustering_tasks.cli import main  # noqa: E402

main()
