"""Which items a run reads: where from, and which of them."""

from typing import Literal

from pydantic import Field

from clustering_tasks.settings.groups.base import Group
from clustering_tasks.settings.types import Domains, End, Names, Start


class InputSettings(Group):
    """Input: where the vectors come from, what they must be, and how Stage 3's files are copied."""

    source: Literal["auto", "stage3", "postgres"] = Field(
        "auto",
        description="Where the vectors are read: `stage3` from Stage 3's folder, `postgres` from a "
        "table that the installation lists. `auto` takes the table that is listed as the level's "
        "default, else Stage 3's folder.",
    )
    table: str | None = Field(
        None,
        description="Only with input.source=postgres: name of the table in STAGE4_SOURCE_TABLES. "
        "Unset: the level's default, or the only one listed for the level.",
    )
    dimension: int = Field(
        768,
        ge=2,
        le=65_536,
        description="Number of components of every vector. A run whose vectors have another "
        "dimension is refused.",
    )
    norm_tolerance: float = Field(
        1e-3,
        gt=0,
        le=0.1,
        description="Largest accepted difference between a vector's length and 1. Vectors that "
        "differ more are refused; raise it only where Stage 3 rounds its vectors.",
    )
    copy_attempts: int = Field(
        3,
        ge=1,
        le=20,
        description="How often the copy of Stage 3's files is tried when Stage 3 writes them at "
        "the same time. After the last attempt the task fails.",
    )
    copy_wait_seconds: float = Field(
        5, ge=0, le=600, description="Seconds between two attempts to copy Stage 3's files."
    )


class FilterSettings(Group):
    """Filters: which items are clustered.

    An item must pass every filter that is set; the others get the status `filtered`. Lists may be
    given as comma-separated text.
    """

    domains: Domains = Field(
        None,
        description="Cluster only the items of these domains, by their short or long names. For "
        "events and storylines; unset: all domains.",
    )
    event_types: Names = Field(
        None,
        description="Cluster only the events of these types; upper and lower case are the same. "
        "For events; unset: all types.",
    )
    entity_types: Names = Field(
        None,
        description="Cluster only the entities of these types, for example PERSON, ORG; upper and "
        "lower case are the same. For entities; unset: all types.",
    )
    since: Start = Field(
        None,
        description="Cluster only items dated at or after this time. An item with a time span "
        "passes if the span ends at or after it. A date or an ISO 8601 time; without a time zone "
        "it is UTC. Unset: no lower limit.",
    )
    until: End = Field(
        None,
        description="Cluster only items dated at or before this time. An item with a time span "
        "passes if the span begins at or before it. A date alone includes the whole day. Unset: "
        "no upper limit.",
    )
    keep_undated: bool = Field(
        True,
        description="Items without a date: true clusters them although `filter.since` or "
        "`filter.until` is set, false filters them out. Without these two it has no effect.",
    )
    document_ids: Names = Field(
        None,
        description="Cluster only the items of the documents with these ids. Unset: all documents.",
    )
