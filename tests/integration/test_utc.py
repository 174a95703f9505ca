"""Results in a database whose own zone is another: times are UTC's on every connection."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stage4.api.pool import ReadPool, read_rows
from stage4.database.connection import database
from stage4.database.load import load_run
from stage4.database.publish import publish_run
from tests.integration.conftest import Results
from tests.integration.label_files import Label, report_of

ENDS = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


@dataclass(frozen=True)
class FirstDayToLast(Label):
    """Clusters from the first day of the calendar to the last; Python has none beyond."""

    def cluster_rows(self) -> Iterator[dict[str, Any]]:
        first, last = (moment.isoformat() for moment in ENDS)
        for row in super().cluster_rows():
            yield row | {"start_time": first, "end_time": last}


@pytest.fixture(params=["America/New_York", "Asia/Tokyo"])
def elsewhere(results: Results, request: pytest.FixtureRequest) -> Results:
    with results.server.connect() as superuser:
        statement = f"ALTER DATABASE {results.database} SET timezone = '{request.param}'"
        superuser.execute(statement.encode())
    with results.server.connect(results.database) as connection:
        assert connection.info.parameter_status("TimeZone") == request.param
    return results


@pytest.mark.usefixtures("workspace", "elsewhere")
def test_tasks_and_api_read_the_first_and_the_last_day(tmp_path: Path) -> None:
    files = FirstDayToLast(tmp_path).write()
    load_run(files["files"], report_of(files))
    publish_run(files)
    query = "SELECT start_time, end_time FROM stage4.current_clusters"
    with database() as connection:
        assert connection.execute(query).fetchall() == [ENDS] * 3
    rows = asyncio.run(read_by_api(query))
    assert [(row["start_time"], row["end_time"]) for row in rows] == [ENDS] * 3


async def read_by_api(query: Any) -> list[dict[str, Any]]:
    pool = ReadPool()
    await pool.open()
    try:
        async with pool.reader() as connection:
            return await read_rows(connection, query)
    finally:
        await pool.close()


@pytest.mark.usefixtures("elsewhere")
def test_no_other_module_connects_without_the_zone() -> None:
    """Who makes a connection by himself names the constant."""
    plugins = Path(__file__).parents[2] / "plugins"
    connecting = {"psycopg.connect(", "AsyncConnectionPool(", "hook.get_conn()"}
    sources = [path.read_text() for path in plugins.rglob("*.py")]
    found = [source for source in sources if any(call in source for call in connecting)]
    assert len(found) == 3
    assert all("IN_UTC" in source for source in found)
