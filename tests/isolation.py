"""Tests and benchmarks keep away from an installation that the caller's shell is set up for."""

import os

# What says how to test, and leads to nobody's results.
KEPT = frozenset(
    {
        *("STAGE4_TEST_DATA", "STAGE4_TEST_PICTURES", "STAGE4_TILES"),
        *("STAGE4_RUNNER", "STAGE4_IMAGE"),
        *("STAGE4_DOCKER_URL", "STAGE4_DOCKER_NETWORK", "STAGE4_CONTAINER_USER"),
    }
)


def isolate() -> None:
    """Remove settings and connections of an installation from this process's environment.

    Neither `.env` counts: STAGE4_WORKSPACE, STAGE4_OUTPUT or a connection would lead a test to the
    results of a user, and its deletions too.
    """
    for name in list(os.environ):
        ours = name.startswith("STAGE4_") and name not in KEPT
        if ours or name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_")):
            del os.environ[name]
    os.environ["STAGE4_ENV_FILE"] = os.devnull
