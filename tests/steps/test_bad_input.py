"""What is wrong with Stage 3's folder, through the real `snapshot` command."""

import re

import pytest

from clustering_tasks.settings.deployment import deployment
from tests.conftest import CommandLine, Outcome
from tests.stage3_folder import DIMENSION, scattered
from tests.steps.broken_folder_cases import CASES
from tests.steps.broken_folders import other_levels_pair
from tests.steps.conftest import Published

NEXT_MOVE = re.compile(
    r"[Ll]et Stage 3 (write|normalise|embed)|set input\.|name the one that it writes, by --indices"
)


def snapshot(cli: CommandLine, published: Published, *more: object) -> Outcome:
    return cli(
        "snapshot",
        *("--level", "events"),
        *("--workspace", published.workspace),
        *("--indices", published.stage3.path),
        *("--job", "bad"),
        *("--set", f"input.dimension={DIMENSION}", "--set", "algorithm=hdbscan"),
        *more,
    )


def assert_nothing_changed(published: Published, before: dict[str, bytes]) -> None:
    assert published.kept() == before
    run = published.workspace / "events" / "runs" / "bad"
    # no result of the step, and nothing of the copy; the context's level may have been good
    assert {path.name for path in run.glob("*")} <= {"run.json", "context.json"}


def test_the_folder_that_the_tests_break_is_good(cli: CommandLine, published: Published) -> None:
    assert snapshot(cli, published).code == 0


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named_and_publishes_nothing(
    cli: CommandLine, published: Published, case: str
) -> None:
    break_it, message = CASES[case]
    break_it(published.stage3)
    before = published.kept()
    outcome = snapshot(cli, published)
    assert outcome.code == 65
    assert outcome.stdout == ""
    assert re.search(message, outcome.error), outcome.error
    assert NEXT_MOVE.search(outcome.error), outcome.error
    assert_nothing_changed(published, before)


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_level_larger_than_the_installation_takes_is_refused_by_name(
    cli: CommandLine, published: Published, monkeypatch: pytest.MonkeyPatch, seen_before: bool
) -> None:
    if not seen_before:
        published.stage3.write("events", scattered(15, seed=5))
    before = published.kept()
    monkeypatch.setenv("STAGE4_MAX_ITEMS", "14")
    deployment.cache_clear()
    outcome = snapshot(cli, published)
    monkeypatch.setenv("STAGE4_MAX_ITEMS", "15")
    deployment.cache_clear()
    enough = snapshot(cli, published, "--job", "enough")
    monkeypatch.undo()
    deployment.cache_clear()
    assert outcome.code == 69
    told = "events has 15 items, STAGE4_MAX_ITEMS allows 14: raise it"
    assert told in outcome.error
    assert enough.code == 0
    before |= {name: content for name, content in published.kept().items() if name not in before}
    assert_nothing_changed(published, before)


def test_a_bad_context_is_bad_input_too(cli: CommandLine, published: Published) -> None:
    """Events take their documents into account, where the folder has them."""
    with published.stage3.index("documents").open("r+b") as file:
        file.truncate(100)
    before = published.kept()
    outcome = snapshot(cli, published)
    assert outcome.code == 65
    assert re.search(r"documents\.index is no readable FAISS index", outcome.error)
    assert_nothing_changed(published, before)
    assert snapshot(cli, published, "--set", "evidence.context=false").code == 0


def test_bad_input_comes_before_a_good_artefact(cli: CommandLine, published: Published) -> None:
    """A folder that was replaced by another level's is not mistaken for the one seen before."""
    assert snapshot(cli, published, "--job", "earlier").code == 0
    other_levels_pair(published.stage3)
    assert snapshot(cli, published).code == 65


@pytest.mark.parametrize("seen_before", [False, True])
def test_other_counts_than_stage_3_reports_are_refused(
    cli: CommandLine, published: Published, seen_before: bool
) -> None:
    if not seen_before:
        published.stage3.write("events", scattered(15, seed=5))
    before = published.kept()
    outcome = snapshot(cli, published, "--stage3-count", 16)
    assert outcome.code == 65
    assert re.search(r"events\.index holds 15 .* reports 16", outcome.error)
    assert NEXT_MOVE.search(outcome.error) or "STAGE4_INDICES" in outcome.error
    assert_nothing_changed(published, before)
    assert snapshot(cli, published, "--stage3-count", 15).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "neighbours.k=1"], r"neighbours\.k: .*\(got '1'\)"),
        (["--set", "neighbour.k=9"], r"neighbour: unknown setting; known are .*neighbours"),
        (["--set", "allow_partial=true"], r"allow_partial=true needs scope=domain"),
        (["--set", "scope"], r"--set takes name=value, .* got \['scope'\]"),
        (["--settings", "{"], r"--settings is not valid JSON"),
        (["--settings", "[1]"], r"--settings takes a JSON object, got \[1\]"),
        (["--settings", '{"publish": {"min_items": -1}}'], r"publish\.min_items: "),
        (["--as-of", "soon"], r"--as-of 'soon' is no ISO 8601 time"),
        (["--level", "comets"], r"--level 'comets' is none of documents, events"),
        (["--job", "../events"], r"--job '\.\./events' is no name of a file"),
        (["--job", ""], r"--job '' is no name of a file"),
        (["--job", "a\x1b[2Jb"], r"--job 'a\\x1b\[2Jb' is no name of a file"),
        (["--job", "a\x9b31mb"], r"--job 'a\\x9b31mb' is no name of a file"),
        (["--job", "\u202egnp.exe"], r"--job '\\u202egnp\.exe' is no name of a file"),
        (["--job", "a\u200bb"], r"--job 'a\\u200bb' is no name of a file"),
    ],
)
def test_wrong_settings_are_refused_before_a_run_begins(
    cli: CommandLine, published: Published, arguments: list[str], message: str
) -> None:
    before = published.kept()
    outcome = snapshot(cli, published, *arguments)
    assert outcome.code == 64
    assert re.search(message, outcome.error), outcome.error
    assert published.kept() == before
    assert not (published.workspace / "events" / "runs" / "bad").exists()


def test_every_wrong_setting_is_named_at_once(cli: CommandLine, published: Published) -> None:
    outcome = snapshot(
        cli,
        published,
        *("--settings", '{"hdbscan": {"min_samples": 0}, "typo": 1}'),
        *("--set", "label.keywords=no", "--set", "publish.min_coverage=2"),
    )
    assert outcome.code == 64
    for name in ("hdbscan.min_samples", "typo", "label.keywords", "publish.min_coverage"):
        assert f"- {name}: " in outcome.error


@pytest.mark.parametrize("sign", ["\x1b[2J", "\x9b31m", "\u202e", "\u2028", "\x7f", "\r"])
def test_no_id_of_others_moves_a_terminals_cursor(
    cli: CommandLine, published: Published, sign: str
) -> None:
    metadata = published.stage3.read_metadata("events")
    names = metadata["id_map"]
    names[f"event_emb_{sign}x"] = names.pop("event_emb_doc_0000_event_0")
    published.stage3.write_metadata("events", metadata)
    outcome = snapshot(cli, published)
    assert outcome.code == 65
    assert "event_emb_" in outcome.error
    assert sign[0] not in outcome.stderr + outcome.stdout
