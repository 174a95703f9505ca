"""The four levels of Stage 3's output, and what differs between them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """What varies from level to level; everything else is one code path.

    Attributes:
        name: plural; names files, folders and DAGs.
        cluster_type: singular; names records and prefixes cluster ids.
        vector_prefix: what Stage 3 puts before the source id to form the vector id (IN-4).
        title_fields: metadata fields that say in a reader's words what the item is, best first.
        text_fields: metadata fields that labels draw keywords from.
        date_fields: metadata fields that may hold the item's time, best first (TM-4).
        parts_by: metadata field whose values become the mapped tasks; None: ranges of rows.
        blocked_by: metadata field whose values never share a cluster, whatever the scope.
        context: level whose items with the same document say more about an item: a document is
            also what its storylines are, and a storyline, event or entity is one of its document.
        mention_fields: metadata fields with the words that name the item, best first; compared as
            strings.
        sentence_fields: metadata fields with the sentence that an item stands in, best first.
        filtered_by: lists of `filter` that can match its items, beside documents and dates.
        schedule: default cron expression of the level's DAG, UTC.
    """

    name: str
    cluster_type: str
    vector_prefix: str
    title_fields: tuple[str, ...]
    text_fields: tuple[str, ...]
    date_fields: tuple[str, ...]
    parts_by: str | None
    blocked_by: str | None
    context: str
    mention_fields: tuple[str, ...]
    sentence_fields: tuple[str, ...]
    filtered_by: tuple[str, ...]
    schedule: str

    @property
    def pair(self) -> tuple[str, str]:
        """Names of the level's index and metadata in Stage 3's folder."""
        return f"{self.name}.index", f"{self.name}_metadata.json"


_ALL = (
    Level(
        name="documents",
        cluster_type="document",
        vector_prefix="doc_emb_",
        title_fields=("title",),
        text_fields=("title", "tags"),
        date_fields=("publication_date", "timestamp"),
        parts_by=None,
        blocked_by=None,
        context="storylines",
        mention_fields=("title",),
        sentence_fields=(),
        filtered_by=(),
        schedule="0 2 * * *",
    ),
    Level(
        name="events",
        cluster_type="event",
        vector_prefix="event_emb_",
        title_fields=("event_description", "trigger", "event_type"),
        text_fields=("event_description", "trigger"),
        date_fields=("temporal_reference", "publication_date", "timestamp"),
        parts_by="domain",
        blocked_by=None,
        context="documents",
        mention_fields=("trigger", "event_description"),
        sentence_fields=("event_description",),
        filtered_by=("domains", "event_types"),
        schedule="15 2 * * *",
    ),
    Level(
        name="entities",
        cluster_type="entity",
        vector_prefix="entity_emb_",
        title_fields=("entity_text",),
        text_fields=("entity_text",),
        date_fields=("temporal_reference", "publication_date", "timestamp"),
        parts_by="entity_type",
        blocked_by="entity_type",
        context="documents",
        mention_fields=("entity_text",),
        sentence_fields=("context",),
        filtered_by=("entity_types",),
        schedule="30 2 * * *",
    ),
    Level(
        name="storylines",
        cluster_type="storyline",
        vector_prefix="storyline_emb_",
        title_fields=("storyline_summary", "primary_entities", "storyline_id"),
        text_fields=("storyline_summary", "primary_entities"),
        date_fields=("temporal_span", "temporal_reference", "timestamp"),
        parts_by="domain",
        blocked_by=None,
        context="documents",
        mention_fields=("storyline_summary",),
        sentence_fields=(),
        filtered_by=("domains",),
        schedule="45 2 * * 0",
    ),
)

LEVELS: dict[str, Level] = {level.name: level for level in _ALL}

# Stage 2's twelve domains. Sources spell them short or long; the long form is the normal form.
DOMAINS: dict[str, str] = {
    "diplomatic": "diplomatic_relations",
    "military": "military_operations",
    "economic": "economic_activity",
    "political": "political_events",
    "legal": "legal_judicial",
    "health": "health_medical",
    "environmental": "environmental",
    "technology": "technology_science",
    "cultural": "cultural_social",
    "sports": "sports_entertainment",
    "infrastructure": "infrastructure_development",
    "general": "general_news",
}
UNKNOWN_DOMAIN = "general_news"
