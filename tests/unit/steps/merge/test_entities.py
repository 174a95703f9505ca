"""What names say of clusters of mentions, on levels that are written out here."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from clustering_tasks.arrays import F32, I32
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.language.entity_names import common_nouns, kind_of
from clustering_tasks.stage3.text import matching
from clustering_tasks.steps.merge.entities import REASONS, Reconciled, reconcile
from clustering_tasks.steps.merge.mentioned import Mentioned
from clustering_tasks.workspace.vector_files import open_vectors

Reconcile = Callable[..., Reconciled]
Item = tuple[int, str, str, int]  # cluster, mention, type, document
Told = dict[int, str]  # sentences of items
DIMENSION = 64
FILLERS: list[Item] = [
    (-1, f"Place {chr(65 + number)}{chr(75 + number)}", "LOC", 900 + number) for number in range(14)
] * 4


def level(items: Sequence[Item], told: Told | None = None) -> tuple[I32, Mentioned, Nodes]:
    texts = sorted({text for _, text, _, _ in items})
    types = sorted({kind for _, _, kind, _ in items})
    n = len(items)
    type_of = np.array([types.index(kind) for _, _, kind, _ in items], dtype=np.int32)
    told = told or {}
    spoken = sorted({(items[at][3], text) for at, text in told.items()})
    sentence = np.full(n, -1, dtype=np.int32)
    sentence[list(told)] = [spoken.index((items[at][3], text)) for at, text in told.items()]
    counts = {text: sum(text == said for _, said, _, _ in items) for text in texts}
    known = Mentioned(
        texts=texts,
        kinds=[kind_of(text) for text in texts],
        text=np.array([texts.index(text) for _, text, _, _ in items], dtype=np.int32),
        types=types,
        type_of=type_of,
        document=np.array([document for *_, document in items], dtype=np.int32),
        sentence=sentence,
        sentences=[text for _, text in spoken],
        weight=np.ones(n, dtype=np.int32),
        stories=None,
        common=common_nouns(counts),
    )
    every = np.arange(n)
    nodes = Nodes(
        row=every,
        weight=known.weight,
        block=type_of,
        group=type_of,
        node_of_row=every.astype(np.int32),
        group_names=np.array(types),
    )
    return np.array([cluster for cluster, *_ in items], dtype=np.int32), known, nodes


def vectors_of(items: Sequence[Item], unlike: frozenset[int] = frozenset()) -> F32:
    """Half of a vector is the mention's first word, half the document's; `unlike`: noise alone."""
    rng = np.random.default_rng(0)
    words: dict[str, F32] = {}

    def direction(word: str) -> F32:
        return words.setdefault(word, rng.normal(size=DIMENSION).astype(np.float32))

    rows = [
        np.concatenate([direction(matching(text).split()[-1]), direction(f"in {document}")])
        for _, text, _, document in items
    ]
    for at in unlike:
        rows[at] = rng.normal(size=2 * DIMENSION)
    vectors = np.array(rows, dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.fixture
def reconciled(tmp_path: Path) -> Reconcile:
    def run(
        items: Sequence[Item], unlike: frozenset[int] = frozenset(), told: Told | None = None
    ) -> Reconciled:
        whole = [*items, *FILLERS]
        np.save(tmp_path / "vectors.npy", vectors_of(whole, unlike))
        labels, known, nodes = level(whole, told)
        with open_vectors(UPath(tmp_path / "vectors.npy")) as vectors:
            return reconcile(labels, known, nodes, vectors, 1.0)

    return run


def groups(found: Reconciled, items: Sequence[Item]) -> list[list[int]]:
    """Items by cluster, noise left out."""
    labels = found.labels[: len(items)]
    return [np.flatnonzero(labels == each).tolist() for each in np.unique(labels[labels >= 0])]


def reasons(found: Reconciled, items: Sequence[Item]) -> list[str | None]:
    return [REASONS[code] if code >= 0 else None for code in found.reason[: len(items)].tolist()]


def test_one_name_is_one_cluster_in_any_story_and_encoding(reconciled: Reconcile) -> None:
    items = [
        (0, "Jos\u00e9 P\u00e9rez", "PER", 1),
        (0, "P\u00e9rez", "PER", 1),
        (1, "Dr. Jose\u0301 Pe\u0301rez", "PER", 2),
        (1, "Jos\u00e9 P\u00e9rez", "PER", 3),
    ]
    found = reconciled(items)
    assert groups(found, items) == [[0, 1, 2, 3]]
    assert reasons(found, items) == [None, None, "same_name", "same_name"]
    assert found.metrics["reconciled.same_name"] == 1


def test_a_name_of_another_type_is_another_thing(reconciled: Reconcile) -> None:
    items = [(0, "Paris Hilton", "PER", 1)] * 2 + [(1, "Paris Hilton", "ORG", 1)] * 2
    assert groups(reconciled(items), items) == [[0, 1], [2, 3]]


def test_what_is_unlike_is_not_joined(reconciled: Reconcile) -> None:
    items = [(0, "John Smith", "PER", 1)] * 2 + [(1, "John Smith", "PER", 2)] * 2
    assert groups(reconciled(items), items) == [[0, 1, 2, 3]]
    assert groups(reconciled(items, frozenset({2, 3})), items) == [[0, 1], [2, 3]]


def test_common_nouns_and_days_are_not_joined(reconciled: Reconcile) -> None:
    for text, kind in (("actress", "PER"), ("Friday", "DATE"), ("Friday", "MISC")):
        items = [(0, text, kind, 1)] * 2 + [(1, text, kind, 2)] * 2
        assert groups(reconciled(items), items) == [[0, 1], [2, 3]]


def test_a_surname_is_short_for_the_only_person_of_its_documents(reconciled: Reconcile) -> None:
    items = [
        *[(0, "Sanjay Gupta", "PER", 1)] * 2,
        *[(1, "Gupta", "PER", 1)] * 2,
        *[(2, "Gupta", "PER", 2)] * 2,
    ]
    found = reconciled(items)
    assert groups(found, items) == [[0, 1, 2, 3], [4, 5]]
    assert reasons(found, items)[2:4] == ["short_name"] * 2
    two = [*items, (3, "Anil Gupta", "PER", 1), (3, "Anil Gupta", "PER", 1)]
    assert groups(reconciled(two), two) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_an_acronym_stands_for_the_only_name_with_its_initials(reconciled: Reconcile) -> None:
    items = [
        *[(0, "Energy Supply Group", "ORG", 1)] * 2,
        *[(1, "ESG", "ORG", 1)] * 2,
    ]
    assert groups(reconciled(items), items) == [[0, 1, 2, 3]]
    two = [*items, (2, "European Steel Group", "ORG", 1), (2, "European Steel Group", "ORG", 1)]
    assert groups(reconciled(two), two) == [[0, 1], [2, 3], [4, 5]]


def test_pronouns_go_to_the_only_name_of_their_documents(reconciled: Reconcile) -> None:
    items = [
        *[(0, "Tara Reid", "PER", document) for document in (1, 2)],
        *[(1, "she", "PER", 1), (1, "herself", "PER", 2)],
    ]
    found = reconciled(items)
    assert groups(found, items) == [[0, 1, 2, 3]]
    assert reasons(found, items) == [None, None, "pronouns", "pronouns"]
    others = [*items, *[(2, "Lindsay Lohan", "PER", document) for document in (1, 2)]]
    assert groups(reconciled(others), others) == [[0, 1], [2, 3], [4, 5]]


def test_a_name_has_pronouns_of_one_gender(reconciled: Reconcile) -> None:
    items = [
        *[(0, "Tara Reid", "PER", document) for document in (1, 2)],
        *[(1, "she", "PER", 1), (1, "she", "PER", 2), (1, "her", "PER", 2)],
        *[(2, "he", "PER", 1), (2, "he", "PER", 2)],
    ]
    assert groups(reconciled(items), items) == [[0, 1], [2, 3, 4], [5, 6]]


def test_a_pronoun_goes_to_the_name_before_it_in_its_sentence(reconciled: Reconcile) -> None:
    told = "Police say Tara Reid told a friend of Lindsay Lohan that she left, her lawyer said."
    items = [
        *[(0, "Tara Reid", "PER", 1)] * 2,
        *[(1, "Lindsay Lohan", "PER", document) for document in (1, 2)],
        *[(2, "she", "PER", 1), (2, "her", "PER", 1), (2, "friend", "PER", 1)],
    ]
    found = reconciled(items, told=dict.fromkeys((0, 2, 4, 5, 6), told))
    assert groups(found, items) == [[0, 1], [2, 3, 4, 5]]
    assert reasons(found, items)[4:6] == ["antecedent"] * 2
    assert found.metrics["reconciled.antecedent"] == 2


def test_without_a_name_a_persons_pronoun_goes_to_the_only_thing(reconciled: Reconcile) -> None:
    items = [*[(-1, "hombre", "PER", 1), (-1, "\u00e9l", "PER", 1)], *[(0, "mujer", "PER", 2)] * 2]
    told = "Un hombre dijo que \u00e9l no vio nada."
    found = reconciled(items, told=dict.fromkeys((0, 1), told))
    assert groups(found, items) == [[2, 3], [0, 1]]
    alone = np.full_like(found.labels, -1)
    assert found.probabilities(alone, np.zeros(len(alone), np.float32))[:2].tolist() == [0.5, 0.5]
    two = [*items, (-1, "polic\u00eda", "PER", 1)]
    told = "Un hombre dijo a un polic\u00eda que \u00e9l no vio nada."
    assert groups(reconciled(two, told=dict.fromkeys((0, 1, 4), told)), two) == [[2, 3]]


def test_a_relative_pronoun_and_a_things_go_to_the_last_of_their_type(
    reconciled: Reconcile,
) -> None:
    items = [
        *[(0, "Acme Corp.", "ORG", 1), (0, "Acme", "ORG", 2)],
        *[(1, "una empresa", "ORG", 1), (1, "empresa", "ORG", 2)],
        *[(-1, "que", "ORG", 1), (-1, "that", "PER", 1), (-1, "its", "ORG", 1)],
    ]
    told = {0: "Acme Corp. vendi\u00f3 una empresa que perd\u00eda that"}
    told = dict.fromkeys((0, 2, 4, 5), told[0]) | dict.fromkeys((6,), "its profit rose")
    found = reconciled(items, told=told)
    assert groups(found, items) == [[0, 1], [2, 3, 4]]


def test_where_nothing_is_before_it_a_pronoun_is_of_the_documents_only_name(
    reconciled: Reconcile,
) -> None:
    items = [*[(0, "Tara Reid", "PER", document) for document in (1, 2)], (-1, "She", "PER", 1)]
    told = {2: "She left on Tuesday."}
    assert groups(reconciled(items, told=told), items) == [[0, 1, 2]]
    two = [*items, *[(1, "Lindsay Lohan", "PER", document) for document in (1, 3)]]
    assert groups(reconciled(two, told=told), two) == [[0, 1], [3, 4]]


ONE_PRONOUN: list[Item] = [
    *[(0, "boss", "PER", document) for document in (1, 2)],
    *[(1, "Lo Presti", "PER", document) for document in (2, 3, 4)],
    *[(2, "himself", "PER", document) for document in (1, 2, 3, 4)],
]
OF_ONE_PRONOUN = {
    **dict.fromkeys((0, 5), "The boss hanged himself."),
    **dict.fromkeys((1, 6), "A boss hanged himself."),
    **dict.fromkeys((3, 7), "Lo Presti hanged himself."),
    **dict.fromkeys((4, 8), "Lo Presti hanged himself in jail."),
}


def test_what_pronouns_of_one_cluster_stand_for_is_one(reconciled: Reconcile) -> None:
    found = reconciled(ONE_PRONOUN, told=OF_ONE_PRONOUN)
    assert groups(found, ONE_PRONOUN) == [list(range(9))]
    assert reasons(found, ONE_PRONOUN)[2:5] == ["one_pronoun"] * 3
    once = {at: text for at, text in OF_ONE_PRONOUN.items() if at != 8}
    apart = groups(reconciled(ONE_PRONOUN, told=once), ONE_PRONOUN)
    assert apart == [[0, 1], [2, 3, 4, 5, 6, 7, 8]]


def test_two_names_are_not_one_for_their_pronouns(reconciled: Reconcile) -> None:
    items = [
        (at, text.replace("boss", "Rossi"), kind, document)
        for at, text, kind, document in ONE_PRONOUN
    ]
    told = {at: text.replace("boss", "Rossi") for at, text in OF_ONE_PRONOUN.items()}
    found = groups(reconciled(items, told=told), items)
    assert found == [[0, 1, 5, 6], [2, 3, 4, 7, 8]]


APPOSITION: list[Item] = [
    *[(0, "Esther Williams", "PER", document) for document in (1, 2)],
    *[(1, "actrice", "PER", document) for document in (1, 2)],
    *[(2, "Lindsay Lohan", "PER", document) for document in (1, 3)],
]


@pytest.mark.parametrize(
    "told",
    [
        "L'actrice Esther Williams est morte, dit Lindsay Lohan.",
        "Esther Williams, actrice, est morte, dit Lindsay Lohan.",
        "Esther Williams, une actrice, est morte, dit Lindsay Lohan.",
        "Esther Williams, l'actrice, est morte, dit Lindsay Lohan.",
    ],
)
def test_a_noun_beside_a_name_is_that_persons(reconciled: Reconcile, told: str) -> None:
    found = reconciled(APPOSITION, told=dict.fromkeys((0, 2, 4), told))
    assert groups(found, APPOSITION) == [[0, 1, 2, 3], [4, 5]]
    assert reasons(found, APPOSITION)[2:4] == ["apposition"] * 2


@pytest.mark.parametrize(
    "told",
    [
        "Esther Williams et l'actrice Lindsay Lohan; actrice",
        "Esther Williams et une actrice, dit Lindsay Lohan.",
        "Esther Williams's actrice, dit Lindsay Lohan.",
    ],
)
def test_a_noun_is_not_of_a_name_that_it_is_not_beside(reconciled: Reconcile, told: str) -> None:
    found = groups(reconciled(APPOSITION, told=dict.fromkeys((0, 2), told)), APPOSITION)
    assert found == [[0, 1], [2, 3], [4, 5]]


def test_a_noun_beside_two_names_or_of_no_person_is_neithers(reconciled: Reconcile) -> None:
    told = {
        **dict.fromkeys((0, 2), "L'actrice Esther Williams est morte."),
        **dict.fromkeys((3, 5), "L'actrice Lindsay Lohan est morte."),
    }
    items = [(at, text, kind, min(document, 2)) for at, text, kind, document in APPOSITION]
    assert groups(reconciled(items, told=told), items) == [[0, 1], [2, 3], [4, 5]]
    places = [(at, text, "LOC", document) for at, text, _, document in APPOSITION]
    told = dict.fromkeys((0, 2), "L'actrice Esther Williams est morte.")
    assert groups(reconciled(places, told=told), places) == [[0, 1], [2, 3], [4, 5]]


def test_two_persons_are_cut_and_their_surname_goes_to_the_nearest(reconciled: Reconcile) -> None:
    items = [
        *[(0, "John Jenkin", "PER", 1)] * 3,
        *[(0, "Kathryn Jenkin", "PER", 2)] * 2,
        (0, "Jenkin", "PER", 2),
    ]
    found = reconciled(items)
    assert groups(found, items) == [[0, 1, 2], [3, 4, 5]]
    assert reasons(found, items) == [None] * 3 + ["different_names"] * 3
    once = items[:4]
    assert groups(reconciled(once), once) == [[0, 1, 2, 3]]


def test_different_sums_and_days_are_cut_and_what_is_alone_is_noise(reconciled: Reconcile) -> None:
    items = [
        *[(0, "$184 million", "MONEY", 1)] * 2,
        *[(0, "$200 million", "MONEY", 1)] * 2,
        (0, "$23 million", "MONEY", 1),
        *[(1, "on Saturday", "DATE", 1)] * 2,
        *[(1, "Friday night", "DATE", 1)] * 2,
    ]
    found = reconciled(items)
    assert groups(found, items) == [[0, 1], [7, 8], [2, 3], [5, 6]]
    assert found.labels[4] == -1
    assert reasons(found, items)[4] is None
    lost = found.probabilities(np.zeros_like(found.labels), np.ones(len(found.labels), np.float32))
    assert lost[:5].tolist() == [1, 1, 1, 1, 0]


def test_a_number_within_a_name_cuts_nothing(reconciled: Reconcile) -> None:
    items = [(0, f"Bank {number}", "ORG", 1) for number in range(4)]
    assert groups(reconciled(items), items) == [[0, 1, 2, 3]]
    sums = [(0, f"{20 + number // 2} points", "MISC", 1) for number in range(4)]
    assert groups(reconciled(sums), sums) == [[0, 1], [2, 3]]


def test_reconciling_again_changes_nothing(reconciled: Reconcile) -> None:
    items = [
        *[(0, "Tara Reid", "PER", document) for document in (1, 2)],
        *[(1, "she", "PER", 1), (1, "herself", "PER", 2)],
        *[(2, "Tara Reid", "PER", 3)] * 2,
        *[(3, "$184 million", "MONEY", 1)] * 2,
        *[(3, "$200 million", "MONEY", 1)] * 2,
        *[(at + 4 if at >= 0 else at, *item) for at, *item in ONE_PRONOUN],
    ]
    told = {at + 10: text for at, text in OF_ONE_PRONOUN.items()}
    once = reconciled(items, told=told)
    labels = once.labels[: len(items)].tolist()
    again = reconciled([(at, *item[1:]) for at, item in zip(labels, items, strict=True)], told=told)
    assert np.array_equal(once.labels, again.labels)
    assert (again.reason < 0).all()
