"""What README and docs name exists: files, headings, targets, commands, settings, variables."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clustering_tasks.settings.deployment import DeploymentSettings
from clustering_tasks.settings.run import RunSettings
from stage4.cli import login
from tests.readme import README, REPO
from tests.recipes import PAGE as CONTRIBUTING
from tests.recipes import edits, titles
from tools.docs import settings

PAGES = [README, CONTRIBUTING, *sorted((REPO / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(r"^```(?:python|diff)\n.*?^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
TOP = {"clustering_tasks", "dags", "docs", "images", "local", "plugins", "tests"}
# Read by the local tooling, the tests, docker-compose.yaml, and the command `stage4`.
OTHER_VARIABLES = {
    *("STAGE4_STATE", "STAGE4_TEST_DATA", "STAGE4_AIRFLOW_IMAGE", "STAGE4_TILES"),
    "STAGE4_ENV_FILE",
    *(login.URL, login.TOKEN, login.USER, login.PASSWORD_FILE),
}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def named_files(text: str) -> Iterator[str]:
    """Quoted paths below a folder of the repository."""
    for quoted in QUOTED.findall(text):
        if quoted.split("/")[0] in TOP and "/" in quoted and not set("<> *{") & set(quoted):
            yield quoted


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(SOURCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} does not exist"
        assert file.is_relative_to(REPO), f"{target} leads out of the repository"
        if anchor:
            assert anchor in slugs(file), f"{path} has no heading {anchor}"


@pages
def test_named_files_exist(page: Path) -> None:
    new = {edit.file for title in titles() for edit in edits(title)}
    missing = [
        name
        for name in named_files(page.read_text(encoding="utf-8"))
        if not (REPO / name.rstrip("/")).exists() and not (page == CONTRIBUTING and name in new)
    ]
    assert missing == []


@pages
def test_make_targets_and_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, flags=re.MULTILINE)) <= targets
    commands = set(re.findall(r"^## (\S+)$", settings.cli_page(), flags=re.MULTILINE))
    named = set(re.findall(r"-m clustering_tasks\s+([a-z][a-z-]*)", text))
    assert named <= commands


@pages
def test_settings_and_variables_exist(page: Path) -> None:
    text = SOURCE.sub("", page.read_text(encoding="utf-8"))
    known = set(re.findall(r"^\| `([\w.]+)` \|", settings.settings_page(), flags=re.MULTILINE))
    groups = {name.split(".")[0] for name in known if "." in name} & set(RunSettings.model_fields)
    dotted = re.findall(
        rf"(?<!limit\.)\b(?:{'|'.join(groups)})\.(?!(?:json|parquet)\b)[a-z_]+\b", text
    )
    assert set(dotted) <= known
    ours = {f"STAGE4_{name.upper()}" for name in DeploymentSettings.model_fields} | OTHER_VARIABLES
    compose = set(re.findall(r"\bSTAGE4_\w+", settings.env_example()))
    assert set(re.findall(r"\bSTAGE4_[A-Z0-9_]*[A-Z0-9]\b", text)) <= ours | compose


def test_every_make_target_of_the_help_is_one_that_a_reader_can_find() -> None:
    """`make help` prints its list from the comments: each target must have one."""
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)[0].split()
    described = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, flags=re.MULTILINE))
    assert described == set(phony)


def messages() -> str:
    """Every text of the sources, an inserted value as three dots."""
    found = []
    for folder in ("clustering_tasks", "plugins"):
        for file in (REPO / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (p.value if isinstance(p, ast.Constant) else "..." for p in node.values)
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


def test_the_messages_of_the_runbook_are_those_of_the_code() -> None:
    runbook = (REPO / "docs/OPERATIONS.md").read_text(encoding="utf-8")
    said, column, quoted = messages(), None, []
    for line in runbook.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            column = None
        elif column is None:
            names = [name for name in cells if name in ("message", "the message says")]
            column = cells.index(names[0]) if names else -1
        elif column >= 0:
            quoted += [b or c for b, c in re.findall(r"``(.+?)``|`(.+?)`", cells[column])]
    assert len(quoted) > 20
    fragments = [part.strip() for quote in quoted for part in quote.split("...")]
    assert [part for part in fragments if part not in said] == []
