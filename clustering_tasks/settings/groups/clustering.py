"""The algorithms, and what becomes of items that they put into no cluster."""

from typing import Literal

from pydantic import Field

from clustering_tasks.settings.groups.base import Group


class AgglomerativeSettings(Group):
    """Agglomerative clustering: only with `algorithm=agglomerative`, or where `auto` takes it.

    It merges the most similar clusters step by step. `clusters`, `cut_similarity` or
    `distance_threshold` sets where merging stops: at most one of them. With none of them it stops
    where the mean silhouette, a measure of the clusters' separation, is highest.
    """

    linkage: Literal["auto", "average", "complete", "single", "ward"] = Field(
        "auto",
        description="Which two clusters are merged next. `average`: those with the highest mean "
        "similarity of their items; `complete`: by the least similar pair, which gives the "
        "tightest clusters; `single`: by the most similar pair, which gives the loosest; `ward`: "
        "those whose union scatters least about its centre, which gives clusters of even width. "
        "`auto` computes average and ward, and takes ward where both find about as many clusters.",
    )
    clusters: int | None = Field(
        None,
        ge=1,
        description="Only with agglomerative clustering: merging stops at this number of clusters "
        "(for entities: of each entity type; with scope=domain: of each domain). Unset: the "
        "number follows from the data.",
    )
    cut_similarity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Only with agglomerative clustering: merging stops when no two clusters are "
        "at least this similar. Higher gives more and tighter clusters. Not with linkage ward. "
        "Unset: the cut follows from the data.",
    )
    distance_threshold: float | None = Field(
        None,
        ge=0,
        description="Limit of merging as a distance instead of `agglomerative.cut_similarity`; the "
        "only one of the two that linkage ward takes. Similarity .8 is distance .63, .5 is 1.0 "
        "(sqrt(2 - 2 x similarity)); with ward, between two large clusters it is larger. Lower "
        "gives more and tighter clusters. Unset: the cut follows from the data.",
    )
    max_component: int = Field(
        20_000,
        ge=2,
        description="Only with linkage complete: most different vectors that are compared each "
        "with each; memory is 4 bytes a pair (20,000 vectors: 1.6 GB). A larger connected group "
        "of items is refused.",
    )
    lone_deviations: float | None = Field(
        None,
        ge=0,
        description="An item stands alone, as an outlier, if no other item resembles it more than "
        "unrelated items resemble each other: by this many standard deviations of the similarity "
        "of unrelated pairs above its mode. Higher leaves more items alone; 0 none, not even "
        "pairs that are too unlike for a story. Unset: 5.5 "
        "where the cut follows from the data, 0 where one of the limits of merging is set.",
    )
    trim_size: int = Field(
        10,
        ge=1,
        description="Clusters of up to this many items lose members that are too dissimilar (see "
        "`agglomerative.trim_similarity`); larger clusters keep theirs. 1 removes none.",
    )
    trim_similarity: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="A member of a small cluster becomes an outlier if its mean similarity to the "
        "other members is below this. Higher removes more members. Unset: 0.33, and less where few "
        "stories make up the level.",
    )

    @property
    def least_similarity(self) -> float | None:
        """The threshold as a similarity, None where the caller gave none."""
        if self.distance_threshold is not None:
            return 1 - self.distance_threshold**2 / 2
        return self.cut_similarity


class KmeansSettings(Group):
    """k-means: only with `algorithm=kmeans`."""

    k: int | None = Field(
        None,
        ge=1,
        description="Only with algorithm=kmeans: number of clusters (for entities: of each entity "
        "type; with scope=domain: of each domain). Unset: estimated on a sample.",
    )
    estimate: Literal["silhouette", "elbow"] = Field(
        "silhouette",
        description="Where `kmeans.k` is unset, how it is estimated: `silhouette` takes the number "
        "whose clusters are best separated, `elbow` the one after which more clusters reduce the "
        "squared error little.",
    )
    mini_batch_above: int = Field(
        50_000,
        ge=0,
        description="With more different vectors than this, k-means works on random batches: "
        "faster, and the clusters are slightly less exact.",
    )
    trim_size: int = Field(
        10,
        ge=1,
        description="Clusters of up to this many items lose members that are too dissimilar (see "
        "`kmeans.trim_similarity`); larger clusters keep theirs. 1 removes none.",
    )
    trim_similarity: float = Field(
        0.33,
        ge=-1,
        le=1,
        description="A member of a small cluster becomes an outlier if its mean similarity to the "
        "other members is below this. Higher removes more members.",
    )


class LabelPropagationSettings(Group):
    """Label propagation: only with `algorithm=label_propagation`, or where `auto` takes it."""

    edge_similarity: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Only with label propagation: two items are linked if they are at least this "
        "similar. Higher gives more and smaller clusters. Unset: 0.6 for events, 0.55 for "
        "entities; for documents and storylines the value whose clusters are best separated.",
    )
    neighbours: int = Field(
        30,
        ge=1,
        le=512,
        description="Strongest links kept for each item. More give larger clusters. At most "
        "`neighbours.k` have an effect.",
    )


class HdbscanSettings(Group):
    """HDBSCAN: only with `algorithm=hdbscan`.

    It finds dense groups of items; items outside of them are outliers (Campello, Moulavi, Sander
    2013). Distances are Euclidean, sqrt(2 - 2 x similarity).
    """

    min_cluster_size: int = Field(
        5,
        ge=2,
        description="Only with algorithm=hdbscan: fewest items of a cluster. Higher gives fewer "
        "and larger clusters, and more outliers.",
    )
    min_samples: int = Field(
        3,
        ge=1,
        description="Neighbours that an item must have nearby to count as dense. Higher gives "
        "more outliers. At most `neighbours.k`.",
    )
    cluster_selection_epsilon: float = Field(
        0.0,
        ge=0,
        le=2,
        description="Clusters nearer to each other than this Euclidean distance are not divided. "
        "Higher gives fewer, larger clusters; 0: no such limit.",
    )
    cluster_selection_method: Literal["eom", "leaf"] = Field(
        "eom",
        description="`eom` (excess of mass) prefers large, stable clusters; `leaf` gives many "
        "small ones of similar size.",
    )
    allow_single_cluster: bool = Field(
        False, description="Whether all items may form one single cluster."
    )


class TwoStageSettings(HdbscanSettings):
    """HDBSCAN in two stages: only with `algorithm=two_stage`.

    k-means divides the items into cells, HDBSCAN clusters each cell, and clusters that lie in
    several cells are joined again.
    """

    min_cluster_size: int = Field(
        5,
        ge=2,
        description="Only with algorithm=two_stage: fewest items of a cluster. Higher gives fewer "
        "and larger clusters, and more outliers.",
    )
    cell_size: int = Field(
        2000,
        ge=10,
        description="Mean number of different vectors in a cell. Larger cells are more exact and "
        "slower. With fewer vectors than this there is one cell.",
    )


class OutlierSettings(Group):
    """Outliers: what becomes of items that the algorithm put into no cluster."""

    policy: Literal["skip", "nearest", "individual", "target"] = Field(
        "skip",
        description="Items that the algorithm put into no cluster: `skip` leaves them out; "
        "`nearest` adds each to its nearest cluster if it is similar enough "
        "(`outliers.threshold`); `individual` leaves them out and marks them to be tagged one by "
        "one; `target` adds the most similar ones until `outliers.target_share` is reached.",
    )
    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Only with outliers.policy=nearest: least similarity of an outlier and its "
        "nearest cluster. Higher adds fewer outliers.",
    )
    target_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Only with outliers.policy=target, and required there: largest share of all "
        "items that stays outside of clusters (0.1 is a tenth). Lower adds more outliers.",
    )
