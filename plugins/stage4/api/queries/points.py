"""Points of a run's map, for a view of a part of it."""

from dataclasses import dataclass

from psycopg.sql import SQL, Literal

from clustering_tasks.contract.columns import POINTS
from stage4.api.pool import Reader, Row, read_row, read_rows
from stage4.api.queries.runs import RunKey
from stage4.database import schema

# Of the parent and not of the partition: a run without a map has none.
_HAS_MAP = SQL("SELECT EXISTS (SELECT FROM stage4.points WHERE load_id = {load_id}) AS there")
# The bounds have the columns' type: -0.1 as a double is not the -0.1 of a point on the border.
_VIEW = SQL("""
WITH found AS MATERIALIZED (
    SELECT {columns} FROM stage4.points
    WHERE load_id = {load_id} AND x BETWEEN %(left)s::real AND %(right)s::real
    AND y BETWEEN %(bottom)s::real AND %(top)s::real
    ORDER BY rank LIMIT %(limit)s
)
SELECT found.*, label, coalesce(domain, entity_type) AS "group"
FROM found LEFT JOIN {clusters} clusters ON kind = 'cluster'
    AND clusters.load_id = {load_id} AND clusters.cluster_id = found.cluster_id
ORDER BY rank
""")


@dataclass(frozen=True)
class Rectangle:
    """A part of the map."""

    left: float
    bottom: float
    right: float
    top: float


async def has_map(connection: Reader, run: RunKey) -> bool:
    """Tell whether a run has a map: one of before there were maps, or whose `map` failed, has none.

    A run without clusters has none, either.
    """
    row = await read_row(connection, _HAS_MAP.format(load_id=Literal(run.load_id)))
    return bool(row and row["there"])


async def read_view(connection: Reader, run: RunKey, rectangle: Rectangle, limit: int) -> list[Row]:
    """Read the points of the lowest ranks within a rectangle, clusters with label and group.

    Args:
        connection: to read from.
        run: that the map is of.
        rectangle: its edges belong to it.
        limit: most points.
    """
    statement = _VIEW.format(
        columns=schema.columns(POINTS),
        load_id=Literal(run.load_id),
        clusters=schema.partition("clusters", run.load_id),
    )
    return await read_rows(connection, statement, vars(rectangle) | {"limit": limit})
