"""Reading Airflow's answers: is every component well, is every DAG file read."""

from datetime import datetime
from pathlib import Path

from local.airflow_api import Json

COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


def unhealthy(health: Json | None, since: datetime | None) -> list[str]:
    """The components that are not well, or whose last heartbeat is older than `since`."""
    if health is None:
        return ["api-server"]
    return [name for name in COMPONENTS if not is_well(name, health[name], since)]


def is_well(name: str, component: Json, since: datetime | None) -> bool:
    """Whether one component of the health report is well."""
    if component["status"] != "healthy":
        return False
    heartbeat = component.get(f"latest_{name}_heartbeat")
    return since is None or heartbeat is None or moment(heartbeat) >= since


def is_fresh(dag: Json, since: datetime) -> bool:
    """Whether Airflow has read the DAG's file after `since`."""
    parsed = dag["last_parsed_time"]
    return not dag["is_stale"] and parsed is not None and moment(parsed) >= since


def moment(text: str) -> datetime:
    """A time of the REST API."""
    return datetime.fromisoformat(text)


def dag_files(folder: Path) -> set[str]:
    """The files, relative to `folder`, that Airflow will take for DAG files (its own rule)."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if all(word in path.read_bytes().lower() for word in (b"dag", b"airflow"))
    }
