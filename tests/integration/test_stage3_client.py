from collections.abc import Iterator

import pytest

from clustering_tasks.errors import BadInputError, SettingsError, TransientError
from stage4.clients.stage3 import count_vectors
from tests.integration.http_server import Server, serving

STATISTICS = {
    "backends": {
        "faiss": {
            "indices": [
                {"name": "documents", "total_vectors": 1000, "dimension": 768},
                {"name": "events", "total_vectors": 13_199, "dimension": 768},
            ]
        }
    }
}


@pytest.fixture
def stage3() -> Iterator[Server]:
    with serving() as server:
        server.answers = {
            "/health": (200, {"status": "healthy", "version": "1"}),
            "/statistics": (200, STATISTICS),
        }
        yield server


def count(server: Server) -> int:
    return count_vectors(server.url, "events", timeout=0.5)


def test_the_count_of_the_level(stage3: Server) -> None:
    assert count(stage3) == 13_199
    assert stage3.asked == ["/health", "/statistics"]


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/health", (200, {"status": "degraded"}), "degraded"),
        ("/health", (200, ["healthy"]), "not healthy"),
        ("/health", (503, {}), "503"),
        ("/health", (429, {}), "429"),
        ("/health", (302, {}), "302"),
        ("/health", (200, 2.0), "timed out"),
        ("/statistics", (200, "<html>"), "did not answer in JSON"),
        ("/statistics", (200, {"backends": {}}), "backends.faiss"),
        ("/statistics", (500, {}), "500"),
    ],
)
def test_what_may_pass_is_transient(
    stage3: Server, path: str, answer: tuple[int, object], said: str
) -> None:
    stage3.answers[path] = answer
    with pytest.raises(TransientError, match=said):
        count(stage3)


def test_nobody_there_is_transient() -> None:
    with pytest.raises(TransientError, match="/health"):
        count_vectors("http://127.0.0.1:9", "events", timeout=0.5)


def test_a_wrong_url_is_a_wrong_setting(stage3: Server) -> None:
    with pytest.raises(SettingsError, match=r"/api/health answered 404.*STAGE4_STAGE3_URL"):
        count_vectors(f"{stage3.url}/api", "events", timeout=0.5)


def test_a_level_that_stage3_does_not_know_is_bad_input(stage3: Server) -> None:
    with pytest.raises(BadInputError, match=r"no index `entities`, only \['documents', 'events'\]"):
        count_vectors(stage3.url, "entities", timeout=0.5)


@pytest.mark.parametrize("answer", [(503, {}), (404, {}), (200, "<html>"), (200, ["x"])])
def test_a_password_of_the_url_is_sent_and_never_told(
    stage3: Server, answer: tuple[int, object]
) -> None:
    """A task's message is read by whoever may read the job."""
    url = stage3.url.replace("//", "//reader:s3cret@")
    assert count_vectors(url, "events", timeout=0.5) == 13_199
    stage3.answers["/health"] = answer
    with pytest.raises((TransientError, SettingsError)) as caught:
        count_vectors(url, "events", timeout=0.5)
    with pytest.raises(TransientError) as gone:
        count_vectors("http://reader:s3cret@127.0.0.1:9", "events", timeout=0.5)
    for error in (caught.value, gone.value):
        assert "s3cret" not in f"{error} {error.__cause__}"


def test_what_is_no_url_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="STAGE4_STAGE3_URL"):
        count_vectors("http://[v1.x]/", "events", timeout=0.5)
