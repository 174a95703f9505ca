from clustering_tasks.llm.answers import Asked, Ending, Spent
from clustering_tasks.steps.label.llm_labels import LlmLabels, counted
from clustering_tasks.steps.label.proposals import Scores

CLUSTERS = [f"event_{number:012x}" for number in range(150)]


def asked(**refused: Ending) -> Asked:
    return Asked(model="m", endings={}, answers={}, refused=refused, spent=Spent(), labels="")


def test_the_report_shows_the_refusals_of_the_largest_clusters_alone_and_counts_all() -> None:
    labels = LlmLabels(asked(), dict.fromkeys(CLUSTERS, "Teachers strike"))
    for name in CLUSTERS:
        labels.note(name, ["Strike"], "local", Scores(0.25, 0.5))
    report = labels.report()
    assert report is not None
    assert (report["lost"], report["taken"], report["used"]) == (150, 0, 0)
    assert [each["cluster_id"] for each in report["refusals"]] == CLUSTERS[:100]
    assert report["refusals"][0] == {
        "cluster_id": CLUSTERS[0],
        "reason": "lost",
        "label": "Teachers strike",
        "score": 0.25,
        "local_score": 0.5,
    }
    assert "refusals" not in counted(report)


def test_a_label_that_is_used_or_is_the_local_one_is_not_refused() -> None:
    labels = LlmLabels(asked(c="invented"), {"a": "Teachers strike", "b": "Strike"})
    labels.note("a", ["Strike"], "llm", Scores(0.5, 0.5))
    labels.note("b", ["Strike"], "local", Scores(0.5, 0.5))
    labels.note("d", ["Strike"], "local", None)  # nobody was asked about it
    assert (labels.used, labels.refusals) == (1, [])
    labels.note("c", ["Strike"], "local", None)
    assert [(each.reason, each.label) for each in labels.refusals] == [("invented", None)]
