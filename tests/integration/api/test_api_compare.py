"""`runs/<level>/compare`: two runs of the sample, compared with a look at their members."""

from collections import Counter

from tests.integration.api.conftest import Api, Corpus, Json


def pages(viewer: Api, corpus: Corpus, **parameters: object) -> list[Json]:
    return viewer.pages("runs/events/compare", base=corpus.earlier.load_id, **parameters)


def test_every_cluster_of_both_runs_is_accounted_for(viewer: Api, corpus: Corpus) -> None:
    before, after = corpus.earlier.records, corpus.runs["events"].records
    found = pages(viewer, corpus, limit=7)
    changes = [change for page in found for change in page["changes"]]
    sizes = [(-change["size"], change["cluster_id"]) for change in changes]
    assert sizes == sorted(set(sizes))
    vanished = {each["cluster_id"] for each in changes if each["kind"] == "vanished"}
    assert {each["cluster_id"] for each in changes} - vanished == set(after)
    assert vanished <= set(before)
    kept = {frozenset(each["member_ids"]) for each in before.values()}
    same = {name for name, each in after.items() if frozenset(each["member_ids"]) in kept}
    assert {each["cluster_id"] for each in changes if each["kind"] == "unchanged"} == same != set()
    ids = {each["cluster_id"] for each in changes if each["same_id"]} - vanished
    assert ids == set(before) & set(after) != set()

    summary = found[0]["summary"]
    kinds = Counter(change["kind"] for change in changes)
    assert summary["kinds"] == kinds
    assert summary["same_ids"] == len(ids)
    assert len(kinds) > 2, "the two algorithms do differ"
    assert summary["clustered_before"] == sum(len(each["member_ids"]) for each in before.values())
    assert summary["clustered_after"] == sum(len(each["member_ids"]) for each in after.values())
    assert [page["summary"] is None for page in found] == [False] + [True] * (len(found) - 1)
    for change in changes[:5]:
        ours = before if change["kind"] == "vanished" else after
        theirs = after if change["kind"] == "vanished" else before
        members = set(ours[change["cluster_id"]]["member_ids"])
        shared = {name: len(members & set(each["member_ids"])) for name, each in theirs.items()}
        assert change["shared"] == sum(shared.values())
        assert change["related_count"] == sum(1 for count in shared.values() if count)
        for related in change["related"]:
            assert related["shared"] == shared[related["cluster_id"]]


def test_one_kind(viewer: Api, corpus: Corpus) -> None:
    all_of_them = [each for page in pages(viewer, corpus, limit=200) for each in page["changes"]]
    for kind in ("changed", "vanished"):
        found = [each for page in pages(viewer, corpus, kind=kind) for each in page["changes"]]
        assert found == [each for each in all_of_them if each["kind"] == kind]


def test_runs_that_cannot_be_compared(viewer: Api, corpus: Corpus) -> None:
    earlier, current = corpus.earlier.load_id, corpus.runs["events"].load_id
    path = "runs/events/compare"
    assert viewer.ask("GET", path).status_code == 422
    assert viewer.ask("GET", f"{path}?base={current}").status_code == 422
    assert viewer.ask("GET", f"{path}?base={earlier}&other={earlier}").status_code == 422
    assert viewer.ask("GET", f"{path}?base={earlier}&kind=improved").status_code == 422
    assert viewer.ask("GET", f"{path}?base=999").status_code == 404
    assert viewer.ask("GET", f"runs/documents/compare?base={earlier}").status_code == 404
