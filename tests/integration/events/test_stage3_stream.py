"""Stage 3's stream: a real Redis, a real PostgreSQL, and the trigger that reads the one."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis.asyncio import Redis

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.stage3.events import Stage3Event
from stage4.database import stage3_events
from stage4.database.stage3_events import arrival
from stage4.events.stage3 import trigger as triggers
from stage4.events.stage3.stream import (
    CONSUMER,
    GROUP,
    MOST_DELIVERIES,
    STREAM,
    StreamReader,
)
from stage4.events.stage3.trigger import Stage3StreamTrigger
from tests.integration.api.redis_server import RedisServer, running
from tests.integration.conftest import CONNECTION_VARIABLE, Results
from tests.integration.events.sending import another
from tests.stage3_events import event

DEAD = f"{STREAM}:dead"
SECONDS = 30  # more than anything here takes
Rows = list[tuple[Any, ...]]


@pytest.fixture
def stage3(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisServer]:
    with running(tmp_path) as server:
        monkeypatch.setenv("AIRFLOW_CONN_STAGE3", server.airflow_connection)
        monkeypatch.setattr(triggers, "PAUSE_SECONDS", 0.05)
        deployment.cache_clear()
        yield server
    deployment.cache_clear()


def append(server: RedisServer, *fields: dict[Any, Any]) -> None:
    with server.client.pipeline() as act:
        for each in fields:
            act.xadd(STREAM, each)
        act.execute()


def stored(results: Results) -> Rows:
    return results.rows(
        "SELECT stage3_job, level, total_embeddings FROM stage4.stage3_events ORDER BY number",
        user=results.loader,
    )


def pending(server: RedisServer) -> int:
    found: Any = server.client.xpending(STREAM, GROUP)
    return int(found["pending"])


def is_idle(server: RedisServer) -> bool:
    """Whether every entry was handed out and acknowledged."""
    groups: Any = server.client.xinfo_groups(STREAM) if server.client.exists(STREAM) else []
    return any(group["lag"] == 0 and group["pending"] == 0 for group in groups)


def fire(until: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> list[str]:
    """Let the trigger run as the triggerer does; returns what it has fired."""
    fired: list[str] = []

    async def run() -> None:
        async for each in Stage3StreamTrigger("stage3").run():
            fired.append(each.payload)  # noqa: PERF401 - it never ends

    async def main() -> None:
        task = asyncio.create_task(run())
        await asyncio.to_thread(meanwhile)
        deadline = time.monotonic() + SECONDS
        while not await asyncio.to_thread(until):
            assert time.monotonic() < deadline, fired
            assert not task.done(), task
            await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    return fired


def read(server: RedisServer, results: Results, seconds: float = 0.3) -> int:
    """Let a reader read that claims at once what others left; returns how many it stored."""

    async def main() -> int:
        number = 0
        async with Redis(port=server.port) as client:
            block = timedelta(seconds=0.05)
            reader = StreamReader(client, keep, nothing, claim_after=timedelta(0), block=block)
            await reader.join()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    async for each in reader.stored():
                        number += each
        return number

    async def keep(events: Sequence[Stage3Event]) -> None:
        with another(results) as connection:
            stage3_events.store(connection, [arrival(each, "stream") for each in events])

    async def nothing() -> None: ...

    return asyncio.run(main())


def test_what_comes_is_stored_and_acknowledged_and_wakes_the_dag(
    results: Results, stage3: RedisServer
) -> None:
    append(stage3, event("before"))  # the group begins with what the stream has
    fired = fire(
        lambda: is_idle(stage3) and len(stored(results)) == 2,
        lambda: append(
            stage3,
            event("j", "documents", embeddings=None, more="fields"),
            event("j", "document", embeddings=None),
            event("before", "events"),
        ),
    )
    assert stored(results) == [("before", "events", 40), ("j", "documents", None)]
    assert fired[0] == "started"
    assert fired[1:]
    assert stage3.client.xlen(DEAD) == 0


def idle(server: RedisServer) -> float:
    """Seconds since a reader last asked."""
    (consumer,) = server.client.xinfo_consumers(STREAM, GROUP)
    return float(consumer["idle"]) / 1000


def test_a_quiet_stream_is_seen_to_be_read(results: Results, stage3: RedisServer) -> None:
    assert read(stage3, results) == 0
    assert idle(stage3) >= 0, "nothing ever came, and the reader is known"
    append(stage3, event("a"))
    assert read(stage3, results) == 1
    ended = time.monotonic()
    assert read(stage3, results) == 0
    assert idle(stage3) < time.monotonic() - ended
    assert pending(stage3) == 0


def test_what_is_no_event_is_a_dead_letter_and_holds_nothing_up(
    results: Results, stage3: RedisServer
) -> None:
    wrong: list[tuple[dict[Any, Any], str]] = [
        ({"x": "y"}, "event_type: Field required; job_id: Field required"),
        (event("a", event_type="embedding.job.failed"), "event_type: "),
        (event("b", "clusters"), "embedding_type: "),
        (event("c", embeddings=-1), "total_embeddings: "),
        (event("c", total_embeddings=2**63), "total_embeddings: "),
        (event("c", total_embeddings="many"), "total_embeddings: "),
        (event("line\nfeed"), "job_id: "),
        (event("n" * 513), "job_id: "),
        ({b"job_id": b"\xff"}, "not UTF-8"),
    ]
    append(stage3, event("first"), *(fields for fields, _ in wrong), event("last"))
    fire(lambda: is_idle(stage3))
    assert [job for job, _, _ in stored(results)] == ["first", "last"]
    letters: Any = stage3.client.xrange(DEAD)
    assert len(letters) == len(wrong)
    for (_, letter), (fields, why) in zip(letters, wrong, strict=True):
        assert letter[b"dead_reason"].decode().startswith(why)
        assert letter[b"dead_entry"]
        names = {name if isinstance(name, bytes) else name.encode() for name in fields}
        assert names <= set(letter)
    assert all(b"many" not in letter[b"dead_reason"] for _, letter in letters)


HANGING = """
import asyncio, sys
from redis.asyncio import Redis
from stage4.events.stage3.stream import StreamReader

async def store(events):
    print(len(events), flush=True)
    await asyncio.sleep(600)

async def ready():
    pass

async def main():
    async with Redis(port=int(sys.argv[1])) as client:
        reader = StreamReader(client, store, ready)
        await reader.join()
        async for _ in reader.stored():
            pass

asyncio.run(main())
"""


def test_what_a_killed_reader_had_is_read_by_the_next_one(
    results: Results, stage3: RedisServer
) -> None:
    append(stage3, *(event(f"job-{number}") for number in range(20)))
    command = [sys.executable, "-c", HANGING, str(stage3.port)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"20\n"
        reader.send_signal(signal.SIGKILL)
    append(stage3, event("after"))
    assert pending(stage3) == 20
    assert read(stage3, results, seconds=3) == 21
    assert len(stored(results)) == 21
    assert is_idle(stage3)


def test_an_entry_that_ends_its_readers_is_given_up(results: Results, stage3: RedisServer) -> None:
    append(stage3, event("deadly"), event("harmless"))
    stage3.client.xgroup_create(STREAM, GROUP, id="0")
    handed_out: Any = stage3.client.xreadgroup(GROUP, CONSUMER, {STREAM: ">"})
    ((_, entries),) = handed_out
    deadly = entries[0][0]
    stage3.client.xclaim(STREAM, GROUP, CONSUMER, 0, [deadly], retrycount=MOST_DELIVERIES)
    assert read(stage3, results, seconds=1) == 1
    assert [job for job, _, _ in stored(results)] == ["harmless"]
    letters: Any = stage3.client.xrange(DEAD)
    ((_, letter),) = letters
    assert letter[b"job_id"] == b"deadly"
    assert letter[b"dead_reason"] == b"handed out 5 times and never stored"
    assert is_idle(stage3)


def test_while_redis_is_away_nothing_ends(results: Results, stage3: RedisServer) -> None:
    append(stage3, event("one"))

    def outage() -> None:
        while not stored(results):
            time.sleep(0.02)
        stage3.stop()
        time.sleep(0.5)
        stage3.start()  # without the stream, without the group
        append(stage3, event("one"), event("two"))

    fire(lambda: len(stored(results)) == 2 and is_idle(stage3), outage)
    assert [job for job, _, _ in stored(results)] == ["one", "two"]


def test_while_the_database_is_away_the_entries_wait(
    results: Results, stage3: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(stage3, event("one"))
    nobody = '{"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "login": "x"}'
    mended = results.connection_json()
    monkeypatch.setenv(CONNECTION_VARIABLE, nobody)

    def outage() -> None:
        time.sleep(0.5)
        assert not stage3.client.exists(STREAM) or not stage3.client.xinfo_groups(STREAM)
        monkeypatch.setenv(CONNECTION_VARIABLE, mended)

    fire(lambda: is_idle(stage3), outage)
    assert [job for job, _, _ in stored(results)] == ["one"]


def test_what_cannot_be_stored_is_not_acknowledged(results: Results, stage3: RedisServer) -> None:
    append(stage3, event("one"))

    async def main() -> None:
        async with Redis(port=stage3.port) as client:
            reader = StreamReader(client, failing, nothing)
            await reader.join()
            async for _ in reader.stored():
                pytest.fail("nothing was stored")

    async def failing(_: Sequence[Stage3Event]) -> None:
        raise psycopg.OperationalError("gone")

    async def nothing() -> None: ...

    with pytest.raises(psycopg.OperationalError):
        asyncio.run(main())
    assert pending(stage3) == 1
    assert read(stage3, results) == 1


def test_a_cancellation_that_a_library_swallows_ends_the_reader(
    results: Results, stage3: RedisServer
) -> None:
    append(stage3, event("one"))

    async def main() -> None:
        async with Redis(port=stage3.port) as client:
            storing = asyncio.Event()

            async def swallowing(_: Sequence[Stage3Event]) -> None:
                storing.set()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(SECONDS)

            async def run() -> None:
                reader = StreamReader(client, swallowing, nothing)
                await reader.join()
                async for _ in reader.stored():
                    pass

            task = asyncio.create_task(run())
            await asyncio.wait_for(storing.wait(), SECONDS)
            task.cancel()
            await asyncio.wait({task}, timeout=SECONDS)
            assert task.cancelled()

    async def nothing() -> None: ...

    asyncio.run(main())
    assert pending(stage3) == 0


def test_a_trigger_is_made_again_from_what_it_says_of_itself() -> None:
    name, arguments = Stage3StreamTrigger("stage3").serialize()
    assert name == "stage4.events.stage3.trigger.Stage3StreamTrigger"
    assert Stage3StreamTrigger(**arguments).conn_id == "stage3"
