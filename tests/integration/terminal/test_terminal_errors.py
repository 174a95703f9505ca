"""Logins, refusals, and the exit codes by which scripts tell them apart."""

import io
from pathlib import Path
from typing import Any

import pytest

from tests.integration.terminal import recorded
from tests.integration.terminal.conftest import PASSWORD, TOKEN, Command, Script
from tools.docs import terminal

REPO = Path(__file__).parents[3]
EMPTY: dict[str, Any] = {"jobs": [], "next_cursor": None}


def test_the_page_is_up_to_date() -> None:
    page = (REPO / terminal.PAGE).read_text("utf-8")
    assert page == terminal.terminal_page(), "run `make docs`"


def test_a_user_logs_in_once_a_command(script: Script, terminal: Command) -> None:
    script.stage4("GET jobs", EMPTY)
    assert terminal("list").code == 0
    assert [asked.path for asked in script.asked] == ["/auth/token", "/stage4/api/v1/jobs"]
    assert terminal("token").out == f"{TOKEN}\n"
    assert terminal("token", "--json").json == {"token": TOKEN}


def test_a_token_of_the_environment_needs_no_user(
    script: Script, url: str, bare: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.stage4("GET jobs", EMPTY)
    monkeypatch.setenv("STAGE4_TOKEN", TOKEN)
    assert bare("--url", url, "list").code == 0
    assert [asked.path for asked in script.asked] == ["/stage4/api/v1/jobs"]
    monkeypatch.setenv("STAGE4_TOKEN", "an-old-one")
    stale = bare("--url", url, "list")
    assert stale.code == 77
    assert "`stage4 token`" in stale.err
    assert "an-old-one" not in stale.err


@pytest.mark.parametrize("token", ["two parts", "two\nlines", "tök"])
def test_what_cannot_be_a_token_is_neither_sent_nor_shown(
    script: Script, url: str, bare: Command, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("STAGE4_TOKEN", token)
    done = bare("--url", url, "list")
    assert done.code == 64
    assert token not in done.err
    assert script.asked == []


def test_a_named_user_goes_before_the_token(
    script: Script, terminal: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.stage4("GET jobs", EMPTY)
    monkeypatch.setenv("STAGE4_TOKEN", "an-old-one")
    assert terminal("list").code == 77
    assert terminal("--user", "reader", "list").code == 0


def test_the_password_may_come_from_standard_input(
    script: Script, url: str, bare: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.stage4("GET jobs", EMPTY)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert bare("--url", url, "--user", "reader", "--password-file", "-", "list").code == 0


def test_a_token_that_runs_out_meanwhile_is_fetched_again(
    script: Script, terminal: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = f"GET jobs/{recorded.JOB_ID}"
    expired = (401, {"detail": "Token has expired"})
    script.stage4(job, recorded.RUNNING, expired, recorded.COMPLETED)
    script.stage4("GET runs", {"runs": [], "next_cursor": None})
    assert terminal("status", recorded.JOB_ID, "--watch").code == 0
    assert [asked.path for asked in script.asked].count("/auth/token") == 2


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_password_file_that_others_can_read_is_warned_about(
    script: Script, bare: Command, url: str, tmp_path: Path, mode: int, warned: bool
) -> None:
    script.stage4("GET jobs", {"jobs": [], "next_cursor": None})
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(mode)
    done = bare("--url", url, "--user", "reader", "--password-file", str(file), "list")
    assert done.code == 0
    assert (f"(mode {mode:o}): chmod 600 {file}" in done.err) == warned
    assert PASSWORD not in done.err


def test_a_wrong_password_is_no_endless_loop(
    script: Script, url: str, bare: Command, tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("guess")
    done = bare(
        "--url", url, "--user", "reader", "--password-file", str(tmp_path / "wrong"), "list"
    )
    assert done.code == 77
    assert "check user and password" in done.err
    assert "guess" not in done.err
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list"], "STAGE4_URL"),
        (["--url", "airflow:8080", "list"], "http://"),
        (["--url", "http://air flow", "list"], "is no address"),
        (["--url", "http://airflow:port", "list"], "is no address"),
        (["--url", "http://", "list"], "is no address"),
        (["--url", "http://me:secret@airflow", "list"], "no password"),
        (["--url", "http://airflow", "list"], "Who are you"),
        (["--url", "http://airflow", "--user", "me", "list"], "--password-file"),
        (["--url", "http://airflow", "--user", "me", "--password-file", "/no", "list"], "/no"),
        (["submit", "paragraphs"], "is no level"),
        (["metrics", "paragraphs"], "is no level"),
        (["list", "--limit", "0"], "--limit"),
        (["hold", "x"], "No such command"),
    ],
)
def test_wrong_use_says_what_to_give(
    bare: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    done = bare(*arguments)
    assert (done.code, done.out) == (64, "")
    assert words in done.err
    assert "secret" not in done.err


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((403, recorded.problem(403, "You may read none of the DAGs.")), 77, "You may read none"),
        ((404, recorded.problem(404, "No run is published yet.")), 66, "No run is published"),
        ((410, recorded.problem(410, "The run was removed.")), 66, "removed"),
        ((429, recorded.problem(429, "More than 600 requests: wait 3 s.")), 75, "wait 3 s"),
        ((504, recorded.problem(504, "The database needed more than 5 s")), 75, "needed more"),
        ((503, recorded.problem(503, "The database cannot be reached")), 69, "cannot be reached"),
        ((502, "<html>Bad Gateway"), 69, "Bad Gateway"),
        ((500, recorded.problem(500, "A defect of Stage 4")), 70, "A defect"),
        ((307, ""), 64, "https://elsewhere/airflow"),
        ((200, "<!doctype html>"), 70, "plugin installed"),
        ((200, []), 70, "without JSON"),
        ((200, {"tasks": []}), 70, "another form"),
        ((413, {"detail": {"reason": "too_large", "message": "Too large"}}), 64, "Too large"),
        (
            (422, {"detail": [{"loc": ["query", "limit"], "msg": "Input should be an integer"}]}),
            64,
            "query.limit: Input should be an integer",
        ),
        (
            (
                422,
                recorded.problem(
                    422, "Not valid.", [{"where": "query.state", "message": "Input should be ..."}]
                ),
            ),
            64,
            "query.state: Input should be ...",
        ),
    ],
)
def test_each_refusal_has_its_code_and_the_servers_words(
    script: Script, terminal: Command, answer: Any, code: int, words: str
) -> None:
    script.stage4("GET jobs", answer)
    done = terminal("list", "--json")
    assert (done.code, done.out) == (code, "")
    assert words in done.err


def test_a_server_that_is_away_is_said_to_be(bare: Command, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    login = ("--user", "reader", "--password-file", str(tmp_path / "password"))
    done = bare("--url", "http://127.0.0.1:1", *login, "health")
    assert done.code == 69
    assert "http://127.0.0.1:1 cannot be reached" in done.err


@pytest.mark.parametrize("name", ["../../api/v2/dags", "a/b", "x?run=1", "", ".."])
def test_an_id_leads_to_no_other_path(script: Script, terminal: Command, name: str) -> None:
    assert terminal("show", name).code == 66
    assert terminal("status", name).code == 66
    assert [asked.path for asked in script.asked if asked.path != "/auth/token"] == []


def test_ctrl_c_leaves_the_job_alone(
    script: Script, terminal: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    script.stage4(f"GET jobs/{recorded.JOB_ID}", recorded.RUNNING)
    monkeypatch.setattr("stage4.cli.watch.time.sleep", interrupt)
    done = terminal("status", recorded.JOB_ID, "--watch")
    assert done.code == 130
    assert "the job goes on" in done.err
