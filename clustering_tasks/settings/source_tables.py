"""Tables of PostgreSQL that runs may be read from: an installation lists them, a run names one.

A caller chooses among the names and writes no SQL, so that no other table can be reached.
"""

from collections.abc import Iterable
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from clustering_tasks.settings.levels import LEVELS

# PostgreSQL cuts longer names, and would read what bears the shorter one.
_LONGEST_NAME = 63

NullVectors = Literal["refuse", "skip"]


def _identifier(name: str) -> str:
    if not name or "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise ValueError(f"a name in PostgreSQL has 1 to {_LONGEST_NAME} bytes and no NUL")
    return name


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = value.split(".")
    if len(parts) != 2:
        raise ValueError(
            'give "schema.table"; where a name holds a dot, a list: ["schema", "table.name"]'
        )
    return parts


def _known_level(name: str) -> str:
    if name not in LEVELS:
        raise ValueError(f"no such level; known are {', '.join(LEVELS)}")
    return name


Column = Annotated[str, AfterValidator(_identifier)]
Relation = Annotated[tuple[Column, Column], BeforeValidator(_split)]
LevelName = Annotated[str, AfterValidator(_known_level)]


class SourceTable(BaseModel):
    """One table that runs of a level may be read from, and what is written back to it.

    Attributes:
        conn_id: Airflow connection to its database, with rights of its own.
        level: of its rows.
        table: schema and name, `"news.articles"` or `["news", "articles"]`.
        id: column of the source ids; unique.
        vector: column of the vectors: `vector` or `halfvec` of pgvector, `real[]`,
            `double precision[]`.
        metadata: column (`json`, `jsonb`) with an object of metadata.
        fields: further metadata: field of Stage 3's to column.
        updated_at: column with the time of a row's last change, which becomes the metadata field
            `updated_at`.
        level_column: column with the level's name, singular or plural; other rows are not read.
        null_vectors: `refuse` ends a run that finds rows without a vector and names them; `skip`
            leaves them out and counts them.
        normalise: whether vectors are scaled to length 1 as they are read; else another length is
            refused.
        cluster_id: column (text) that gets each row's cluster; null: nothing is written back.
        clusters: schema and name of the table that gets the clusters.
        indexes: whether HNSW indexes (cosine) of the vectors and the centroids are created.
        default: whether runs of the level that choose no source are read from this table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    conn_id: str = Field(min_length=1)
    level: LevelName
    table: Relation
    id: Column = "id"
    vector: Column = "embedding"
    metadata: Column | None = None
    fields: dict[Column, Column] = Field(default_factory=dict)
    updated_at: Column | None = None
    level_column: Column | None = None
    null_vectors: NullVectors = "refuse"
    normalise: bool = False
    cluster_id: Column | None = "cluster_id"
    clusters: Relation | None = None
    indexes: bool = False
    default: bool = False

    @model_validator(mode="after")
    def _refuse_what_would_be_overwritten(self) -> Self:
        if self.clusters is not None and self.cluster_id is None:
            raise ValueError("`clusters` needs `cluster_id`: clusters whose members are not named")
        if self.clusters == self.table:
            raise ValueError("`clusters` names the table itself: name another one")
        if self.cluster_id in self.columns.values():
            raise ValueError(
                f"`cluster_id` names the column {self.cluster_id}, which is read: what it holds "
                "would be lost"
            )
        return self

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are read, by their part in the listing."""
        single = ("id", "vector", "metadata", "updated_at", "level_column")
        named = {name: getattr(self, name) for name in single}
        found = {name: column for name, column in named.items() if column is not None}
        return found | {f"fields.{field}": column for field, column in self.fields.items()}

    @property
    def all_fields(self) -> dict[str, str]:
        """Metadata fields that come of columns: those of `fields`, and `updated_at`."""
        own = {} if self.updated_at is None else {"updated_at": self.updated_at}
        return own | self.fields

    @property
    def place(self) -> tuple[str, Relation, str] | None:
        """What is written: connection, table and column; None: nothing."""
        return None if self.cluster_id is None else (self.conn_id, self.table, self.cluster_id)

    @property
    def shown(self) -> str:
        """The table's name, for messages."""
        return ".".join(self.table)


def no_two_in_one_place(tables: dict[str, SourceTable]) -> dict[str, SourceTable]:
    """Refuse two defaults of one level, and two levels that write the same rows.

    Raises:
        ValueError: naming both.
    """
    for level in LEVELS:
        names = defaults(tables.items(), level)
        if len(names) > 1:
            raise ValueError(f"{' and '.join(names)} are both the default of {level}: choose one")
    for (name, table), (other, second) in combinations(tables.items(), 2):
        parted = table.level_column is not None and second.level_column is not None
        same = table.place is not None and table.place == second.place
        if table.level != second.level and same and not parted:
            raise ValueError(
                f"{name} and {other} are of two levels and write the same column: give both a "
                "`level_column`, or one another `cluster_id`"
            )
    return tables


def defaults(tables: Iterable[tuple[str, SourceTable]], level: str) -> list[str]:
    """Name the tables that runs of a level are read from if they choose no source."""
    return [name for name, table in tables if table.default and table.level == level]


SourceTables = Annotated[dict[str, SourceTable], AfterValidator(no_two_in_one_place)]
