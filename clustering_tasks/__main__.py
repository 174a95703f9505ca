"""Entry point of `python -m clustering_tasks`."""

from clustering_tasks.cli import main

main()
