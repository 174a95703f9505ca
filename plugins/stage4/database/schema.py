"""Names and expressions of the results database that its writer and its readers share."""

from collections.abc import Iterable

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

# The configuration of `clusters.search`, and so of every query against it: words as they are
# written, in small letters, no language's stop words or endings.
SEARCH_CONFIGURATION = "simple"
# What texts are searched in: an expression, so that key phrases came without writing rows again.
SEARCHED = "stage4.searched(search, record)"
# pgvector's limit of an HNSW index over `halfvec`; larger centroids are compared one by one.
MOST_INDEXED_DIMENSIONS = 4000


def partition(parent: str, load_id: int) -> Identifier:
    """Name the table that holds a run's rows; it is gone when the run is.

    Args:
        parent: `clusters`, `members` or `points`.
        load_id: of `stage4.runs`.
    """
    return Identifier("stage4", f"{parent}_{load_id}")


def columns(names: Iterable[str]) -> Composed:
    """List columns, for SELECT or COPY."""
    return SQL(", ").join(map(Identifier, names))


def centroid(dimension: int) -> Composable:
    """The expression whose HNSW index every partition of `clusters` has.

    The index serves `ORDER BY <centroid> <=> <vector> LIMIT k`, with `vector(dimension)` on the
    other side.
    """
    if dimension > MOST_INDEXED_DIMENSIONS:
        return SQL("centroid")
    return SQL("(centroid::halfvec({}))").format(Literal(dimension))


def text(dimension: int) -> str:
    """`centroid` as text, for people."""
    return centroid(dimension).as_string()


def vector(dimension: int) -> Composable:
    """The placeholder `%(vector)s`, the text of a vector, as `centroid` can be compared with it."""
    if dimension > MOST_INDEXED_DIMENSIONS:
        return SQL("%(vector)s::vector")
    return SQL("%(vector)s::halfvec({})").format(Literal(dimension))
