"""How the whole suite is shared out to processes (pytest-xdist).

Tests of one share stay together and in their order. A file is a share; so are the files that wait
for the same Airflow, or for the same published corpus, which would else be made twice. The order of
the shares is that of the folders: the end-to-end tests, the longest share, begin at once.
"""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

PROCESSES = 2
FOLDERS = ("tests/e2e/", "tests/integration/api/")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Several for the whole suite; what is named runs in pytest's own process, for debuggers."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return PROCESSES if whole else 0


def pytest_xdist_setupnodes() -> None:
    """Let idle threads sleep: they would spin on the cores that the other processes need."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it knows no such policy


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return Shares(config, log)


class Shares(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Hands out shares, one after the other, to whichever process is free."""

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid)


def share(nodeid: str) -> str:
    """The name of the share that a test belongs to."""
    folder = next((folder for folder in FOLDERS if nodeid.startswith(folder)), None)
    return folder or nodeid.partition("::")[0]
