"""What each kind of error becomes for a caller."""

from typing import Annotated

import psycopg
import pytest
from fastapi import FastAPI
from psycopg import errors
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.testclient import TestClient

from stage4.api import problems


class Body(BaseModel):
    numbers: list[Annotated[int, Field(ge=0)]]


def client_for(error: Exception | None = None) -> TestClient:
    app = FastAPI()
    problems.install(app)

    @app.post("/thing")
    def thing(body: Body) -> int:
        if error is not None:
            raise error
        return len(body.numbers)

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (errors.QueryCanceled("canceling statement"), 504, "narrow the filters"),
        (errors.UndefinedTable('relation "stage4.clusters_17" does not exist'), 410, "removed"),
        (errors.UndefinedTable('relation "stage4.runs" does not exist'), 503, "stage4.setup"),
        (errors.UndefinedColumn("no column"), 503, "stage4.setup"),
        (errors.InsufficientPrivilege("denied"), 503, "grants"),
        (PoolTimeout("no connection in 2 s"), 503, "try again"),
        (psycopg.OperationalError("host db.internal, user stage4"), 503, "try again"),
        (errors.DivisionByZero("division"), 500, "log"),
        (ValueError("secret detail"), 500, "defect"),
        (problems.ProblemError(404, "no such thing"), 404, "no such thing"),
    ],
)
def test_an_error_is_a_problem(error: Exception, status: int, words: str) -> None:
    answer = client_for(error).post("/thing", json={"numbers": []})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["instance"]) == (status, "/thing")
    assert words in problem["detail"]
    assert ("retry-after" in answer.headers) == (status == 503)
    for secret in ("db.internal", "secret", "division", "Traceback"):
        assert secret not in answer.text


def test_everything_that_is_wrong_is_named_without_the_values() -> None:
    answer = client_for().post("/thing", json={"numbers": [1, -424242, "hidden"]})
    assert answer.status_code == 422
    assert [each["where"] for each in answer.json()["errors"]] == [
        "body.numbers.1",
        "body.numbers.2",
    ]
    assert "424242" not in answer.text
    assert "hidden" not in answer.text


def test_a_long_list_of_mistakes_is_cut() -> None:
    answer = client_for().post("/thing", json={"numbers": ["x"] * 1000})
    assert len(answer.json()["errors"]) == 20
