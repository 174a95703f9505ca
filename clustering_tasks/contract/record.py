"""The JSONL record of a cluster: the models that `label` writes by, and the contract's source.

docs/reference/contract/ holds their JSON Schemas. A change of a field is a new `VERSION`.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args

from pydantic import ConfigDict, Field, GetPydanticSchema, with_config
from typing_extensions import TypedDict  # pydantic takes typing's from Python 3.12 on

from clustering_tasks.settings.levels import DOMAINS
from clustering_tasks.settings.run import RunSettings

if TYPE_CHECKING:
    from clustering_tasks.arrays import F32

    Vector = F32
else:
    Vector = list[float]  # the array in JSON; a reader of records needs no numpy

VERSION = 2

_CLOSED = ConfigDict(extra="forbid")
_CHOICES = get_args(RunSettings.model_fields["algorithm"].annotation)
_ALGORITHMS = [name for name in _CHOICES if name != "auto"]
_PARAMETERS: Any = Union[tuple(RunSettings.model_fields[name].annotation for name in _ALGORITHMS)]  # noqa: UP007

_Time = Annotated[
    datetime,
    Field(
        description="ISO 8601 in UTC.",
        json_schema_extra={"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$"},
        examples=["2025-12-10T00:00:00Z"],
    ),
]
_Domain = Annotated[str, Field(json_schema_extra={"enum": sorted(DOMAINS.values())})]
_Id = Annotated[str, Field(min_length=1)]
_ID_PATTERN = r"^(document|event|entity|storyline)_[0-9a-f]{12}$"
_ClusterId = Annotated[str, Field(pattern=_ID_PATTERN)]
_Probability = Annotated[float, Field(ge=0, le=1)]


@with_config(_CLOSED)
class Representative(TypedDict):
    """One of a cluster's most central members."""

    id: Annotated[_Id, Field(description="Its source id.", examples=["doc_001_event_0"])]
    title: Annotated[
        str | None,
        Field(
            description="What a reader would call it; null where its metadata have no such text.",
            examples=["Leaders of the G7 meet in Hiroshima"],
        ),
    ]
    similarity: Annotated[
        float, Field(description="Cosine to the centroid, -1 to 1.", examples=[0.94])
    ]


@with_config(_CLOSED)
class CorrectionMark(TypedDict):
    """What a person decided about the cluster or about items of it."""

    correction_id: Annotated[
        int, Field(ge=1, description="Number of the correction.", examples=[17])
    ]
    kind: Annotated[
        Literal["together", "apart", "rename", "pin", "hide"],
        Field(
            description="`together`, `apart`: of items that the cluster holds. `rename`: "
            "`cluster_label` is a person's. `pin`: to be shown first. `hide`: not to be shown to "
            "readers."
        ),
    ]


_Category = Annotated[
    _Id,
    Field(
        description="`domain`, `category` or `tag` of Stage 3's values, else a category of the "
        "installation's list.",
        examples=["topic"],
    ),
]
_Tag = Annotated[_Id, Field(description="The tag.", examples=["climate"])]
_Count = Annotated[int, Field(ge=0)]


@with_config(_CLOSED)
class ClusterTag(TypedDict):
    """A tag of the cluster."""

    category: _Category
    tag: _Tag
    confidence: Annotated[
        _Probability,
        Field(
            description="Share of the members that bear it, weighted by their probabilities; six "
            "decimals.",
            examples=[0.86],
        ),
    ]
    members: Annotated[
        _Count,
        Field(description="Members that bear it, by Stage 3's fields or their own text."),
    ]
    applied: Annotated[
        _Count, Field(description="Members that got it from the cluster: in `member_tags`.")
    ]
    conflicts: Annotated[
        _Count,
        Field(
            description="Members that kept others of the category instead: what they bear of it is "
            "none of the cluster's tags."
        ),
    ]


class ItemTag(TypedDict):
    """A tag that an item got beside Stage 3's."""

    category: _Category
    tag: _Tag
    confidence: Annotated[
        _Probability,
        Field(
            description="Of `cluster`: the tag's confidence in the cluster times the member's "
            "probability, six decimals. Of `text`: 1.",
            examples=[0.81],
        ),
    ]
    source: Annotated[
        Literal["cluster", "text"],
        Field(description="`cluster`: its cluster has it. `text`: its text has a listed phrase."),
    ]


@with_config(_CLOSED)
class MemberTag(ItemTag):
    """A tag that a member got beside Stage 3's."""

    id: Annotated[_Id, Field(description="Its source id.", examples=["doc_001_event_0"])]


@with_config(_CLOSED)
class Trend(TypedDict):
    """How many members came in the last days, beside the cluster's own history."""

    state: Annotated[
        Literal["growing", "steady", "fading", "unknown"],
        Field(
            description="`growing`, `fading`: the interval of `ratio` lies above, below 1; also "
            "`fading`: all members are older than both periods. `unknown`: too few items to tell."
        ),
    ]
    dated: Annotated[_Count, Field(description="Members with a date.")]
    recent: Annotated[_Count, Field(description="Members of the last days.")]
    recent_days: Annotated[
        float, Field(gt=0, description="How many days, up to the level's last item.")
    ]
    earlier: Annotated[
        _Count,
        Field(description="Members of the days before; not the first, which begins the history."),
    ]
    earlier_days: Annotated[
        float, Field(ge=0, description="How many days, from the cluster's first member on.")
    ]
    rate: Annotated[float, Field(ge=0, description="Members a day in the last days.")]
    earlier_rate: Annotated[
        float | None, Field(description="Members a day before; null where there are no days.")
    ]
    ratio: Annotated[
        float | None, Field(description="`rate` / `earlier_rate`; null where it is not defined.")
    ]
    ratio_low: Annotated[
        float | None, Field(description="Lower bound of the ratio's mid-p interval.")
    ]
    ratio_high: Annotated[
        float | None, Field(description="Upper bound; null where it is infinite.")
    ]


@with_config(_CLOSED)
class RecordMetadata(TypedDict):
    """How and when the cluster was found."""

    algorithm: Annotated[
        str,
        Field(
            description="Algorithm that found the cluster.",
            json_schema_extra={"enum": _ALGORITHMS},
            examples=["hdbscan"],
        ),
    ]
    parameters: Annotated[
        dict[str, Any],
        GetPydanticSchema(lambda _, handler: handler(_PARAMETERS)),
        Field(description="The algorithm's settings; null: chosen from the data."),
    ]
    min_cluster_size: Annotated[
        int, Field(ge=2, description="Fewest members that make a cluster.", examples=[5])
    ]
    scope: Annotated[
        Literal["level", "domain"],
        Field(description="Whether the level was clustered as a whole, or its domains apart."),
    ]
    mean_probability: Annotated[
        _Probability, Field(description="Mean of `member_probabilities`.", examples=[0.91])
    ]
    timestamp: Annotated[_Time, Field(description="The moment that the run is for, in UTC.")]
    run_id: Annotated[
        _Id, Field(description="The run's job id.", examples=["cluster_events.manual__2025-12-24"])
    ]


@with_config(_CLOSED)
class Shared(TypedDict):
    """What records of all levels hold in the same form."""

    cluster_id: Annotated[
        str,
        Field(
            description="The cluster type and twelve hexadecimal digits: the same story, the same "
            "id, from run to run. An id is never used for another cluster.",
            pattern=_ID_PATTERN,
            examples=["event_7f3a9c2e41b0"],
        ),
    ]
    previous_ids: Annotated[
        list[_ClusterId],
        Field(
            description="Other ids that this cluster's members had in earlier runs: of clusters "
            "that went into it, and of the cluster that it was split from; the id with most "
            "members first.",
            examples=[["event_0c51d2a9be47"]],
        ),
    ]
    lineage: Annotated[
        Literal["born", "continued", "grew", "merged", "split", "returned"],
        Field(
            description="What became of the cluster since the run before. `born`: it is new. "
            "`continued`: it has no more members than before; `grew`: it has. `merged`: other "
            "clusters went into it. `split`: it is a part of a cluster, the part with its id or "
            "another. `returned`: the run before had no such cluster, an earlier one had.",
        ),
    ]
    labelled_at: Annotated[
        _Time,
        Field(
            description="Moment of the run that made `cluster_label`, in UTC. A label stays while "
            "the id does and under a tenth of the members change from run to run."
        ),
    ]
    label_source: Annotated[
        Literal["local", "llm"],
        Field(
            description="What made `cluster_label`: `local`, the texts of the members; `llm`, a "
            "language model (docs/LABELS.md). A person's name for the cluster is in "
            "`corrections`, as `rename`."
        ),
    ]
    cluster_size: Annotated[
        int, Field(ge=2, description="Number of members, each item once.", examples=[45])
    ]
    member_ids: Annotated[
        list[_Id],
        Field(
            min_length=2,
            description="Source ids of the members, each once. Events: in the order of time, "
            "undated ones last. Other levels: in the order of the vector ids.",
            examples=[["doc_001_event_0", "doc_002_event_3"]],
            json_schema_extra={"uniqueItems": True},
        ),
    ]
    member_probabilities: Annotated[
        list[_Probability],
        Field(
            min_length=2,
            description="Probability that a member belongs here, in the order of `member_ids`; "
            "six decimals.",
            examples=[[1.0, 0.83]],
        ),
    ]
    member_similarities: Annotated[
        list[float],
        Field(
            min_length=2,
            description="Cosine of a member to the centroid, -1 to 1, in the order of "
            "`member_ids`; six decimals.",
            examples=[[0.94, 0.88]],
        ),
    ]
    document_ids: Annotated[
        list[_Id],
        Field(
            description="Documents of the members, each once, sorted; empty where none is known.",
            examples=[["doc_001", "doc_002"]],
        ),
    ]
    centroid_vector: Annotated[
        Vector,
        Field(
            min_length=2,
            description="Mean of the members' vectors, scaled to length 1; 768 numbers unless the "
            "installation sets another dimension.",
            examples=[[0.6, 0.8]],
        ),
    ]
    temporal_span: Annotated[
        Annotated[list[_Time], Field(min_length=2, max_length=2)] | None,
        Field(
            description="First and last time of the members; null where none is dated.",
            examples=[["2025-12-10T00:00:00Z", "2025-12-15T00:00:00Z"]],
        ),
    ]
    primary_entities: Annotated[
        list[_Id],
        Field(
            description="The members' most frequent primary entities, most frequent first.",
            examples=[["G7", "Japan", "United States"]],
        ),
    ]
    domain: Annotated[
        _Domain | None,
        Field(
            description="The members' most frequent domain, in its long form; null where none has "
            "one.",
            examples=["diplomatic_relations"],
        ),
    ]
    event_type: Annotated[
        _Id | None,
        Field(
            description="The members' most frequent event type, an open set; null where none has "
            "one.",
            examples=["contact_meet"],
        ),
    ]
    intra_cluster_similarity: Annotated[
        float,
        Field(
            description="Mean cosine over all pairs of members, -1 to 1; where an outlier policy "
            "let items join, over the pairs of the others.",
            examples=[0.87],
        ),
    ]
    keywords: Annotated[
        list[_Id],
        Field(
            description="Terms typical of the cluster, heaviest first.",
            examples=[["summit", "hiroshima"]],
        ),
    ]
    key_phrases: Annotated[
        list[_Id],
        Field(
            max_length=3,
            description="What the cluster is about beside its label, the best first: phrases as "
            "its texts write them; of an entity, names that stand beside it most often.",
            examples=[["Fumio Kishida", "security council"]],
        ),
    ]
    representatives: Annotated[
        list[Representative],
        Field(
            min_length=1,
            description="The most central members, most central first: none with the text of "
            "another (of events and mentions the sentence), near-duplicates only where nothing "
            "else is left.",
        ),
    ]
    near_duplicates: Annotated[
        list[Annotated[list[_Id], Field(min_length=2)]],
        Field(
            description="Groups of members whose vectors are all but the same, by source id; "
            "`near_duplicate_of` says which one of a group stands for it.",
            examples=[[["doc_001_event_0", "doc_002_event_3"]]],
        ),
    ]
    near_duplicate_of: Annotated[
        list[_Id | None],
        Field(
            min_length=2,
            description="Of each member the one that it is a near-duplicate of, by source id, in "
            "the order of `member_ids`: of a group of `near_duplicates` the one with the earliest "
            "date, of equally early or undated ones that with the lowest id. Null: it is none, or "
            "stands for the others.",
            examples=[[None, "doc_001_event_0"]],
        ),
    ]
    tags: Annotated[list[ClusterTag], Field(description="Tags of the cluster, the surest first.")]
    member_tags: Annotated[
        list[MemberTag],
        Field(
            description="Tags that members got beside Stage 3's, which stay as they are, in the "
            "order of the vector ids."
        ),
    ]
    trend: Annotated[Trend | None, Field(description="Null where no member has a date.")]
    corrections: Annotated[
        list[CorrectionMark],
        Field(description="Corrections by people that the run applied here, the earliest first."),
    ]
    metadata: Annotated[RecordMetadata, Field(description="How and when the cluster was found.")]


_Label = Annotated[
    str,
    Field(
        min_length=1,
        description="One line that names the cluster for readers, and no other of the level: a "
        "headline or main clause of a member, an entity's name, else phrases, else the source id "
        "of the most central member, where no member has a text.",
        examples=["G7 summit: leaders meet in Hiroshima"],
    ),
]


@with_config(_CLOSED)
class DocumentRecord(Shared):
    """A line of `clustered_documents_*.jsonl`: a cluster of documents."""

    cluster_type: Annotated[Literal["document"], Field(description="The level, in the singular.")]
    cluster_label: _Label
    avg_word_count: Annotated[
        float | None,
        Field(description="Mean words of a member; null where none is counted.", examples=[412.5]),
    ]
    dominant_categories: Annotated[
        list[_Id],
        Field(
            max_length=5,
            description="The members' most frequent categories, most frequent first.",
            examples=[["politics"]],
        ),
    ]


@with_config(_CLOSED)
class EventRecord(Shared):
    """A line of `clustered_events_*.jsonl`: a cluster of events."""

    cluster_type: Annotated[Literal["event"], Field(description="The level, in the singular.")]
    cluster_label: _Label
    event_ids: Annotated[list[_Id], Field(min_length=2, description="The same as `member_ids`.")]


_Reason = Literal[
    "same_name",
    "short_name",
    "acronym",
    "pronouns",
    "apposition",
    "one_pronoun",
    "antecedent",
    "different_names",
    "different_numbers",
]


@with_config(_CLOSED)
class EntityRecord(Shared):
    """A line of `clustered_entities_*.jsonl`: a cluster of mentions of one entity."""

    cluster_type: Annotated[Literal["entity"], Field(description="The level, in the singular.")]
    cluster_label: _Label
    canonical_entity: Annotated[
        str | None,
        Field(
            description="The longest well supported proper name among the mentions, without "
            "articles and titles, else a common noun, else a pronoun; null where no member has a "
            "text.",
            examples=["Angela Merkel"],
        ),
    ]
    canonical_kind: Annotated[
        Literal["name", "noun", "pronoun"] | None,
        Field(
            description="What `canonical_entity` is: anything but a name marks a cluster of "
            "mentions that name nobody; null where no member has a text.",
        ),
    ]
    entity_type: Annotated[
        _Id | None,
        Field(
            description="The members' most frequent entity type; null where none has one.",
            examples=["PER"],
        ),
    ]
    entity_mentions: Annotated[
        list[_Id],
        Field(
            description="The members' different texts: names first, common nouns and pronouns "
            "last; of each kind the most frequent first.",
            examples=[["Angela Merkel", "Merkel"]],
        ),
    ]
    mention_counts: Annotated[
        dict[str, Annotated[int, Field(ge=1)]],
        Field(
            description="How many members have each of these texts.",
            examples=[{"Angela Merkel": 2, "Merkel": 1}],
        ),
    ]
    reconciled: Annotated[
        dict[_Reason, Annotated[int, Field(ge=1)]],
        Field(
            description="Members that are here for their names, after the clustering, by reason: "
            "`same_name`, `short_name`, `acronym`: their cluster was joined to this one; "
            "`pronouns`: they can stand for no other name; `apposition`: nouns beside a person's "
            "name; `one_pronoun`: the same pronouns stand for them; `antecedent`: pronouns, to "
            "what they stand for in their sentence; "
            "`different_names`, `different_numbers`: they left a cluster that they contradict.",
            examples=[{"same_name": 7, "pronouns": 3}],
        ),
    ]


@with_config(_CLOSED)
class StorylineRecord(Shared):
    """A line of `clustered_storylines_*.jsonl`: a cluster of storylines."""

    cluster_type: Annotated[Literal["storyline"], Field(description="The level, in the singular.")]
    cluster_label: _Label
    storyline_ids: Annotated[
        list[_Id], Field(min_length=2, description="The same as `member_ids`.")
    ]
    event_ids: Annotated[
        list[str],
        Field(
            description="Events of all members, each once, sorted.", examples=[["doc_001_event_0"]]
        ),
    ]
    domains: Annotated[
        list[_Domain],
        Field(
            description="All domains of the members, most frequent first.",
            examples=[["diplomatic_relations", "political_events"]],
        ),
    ]


Record = DocumentRecord | EventRecord | EntityRecord | StorylineRecord

RECORDS: dict[str, Any] = {
    "documents": DocumentRecord,
    "events": EventRecord,
    "entities": EntityRecord,
    "storylines": StorylineRecord,
}
"""The model of each level's records."""
