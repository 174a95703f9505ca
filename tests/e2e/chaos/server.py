"""The PostgreSQL of the campaign: what its clients are led to may become another one."""

import contextlib
import shutil
import subprocess
import time
from dataclasses import dataclass

import psutil
import psycopg

from local.postgres import AIRFLOW, SUPERUSER, Postgres, prepare_folder, run_as
from tests.e2e.chaos.proxy import FaultProxy

CAUGHT_UP_SECONDS = 30
SPARE_SEGMENTS = 100  # more than are kept
USE_SEGMENT = "SELECT pg_logical_emit_message(false, 'chaos', ''), pg_switch_wal()"
BEHIND = """
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), replay_lsn) FROM pg_stat_replication
"""


@dataclass
class Server:
    """The server that is asked; `stand_bys` counts those that were made."""

    current: Postgres
    stand_bys: int = 0

    def fail_over(self, *proxies: FaultProxy) -> None:
        """Kill the server; a stand-by that has all takes its place, and proxies lead to that.

        Nothing passes meanwhile: what a client has been told the stand-by has, too, though the
        server does not wait for its disk (`synchronous_commit`).
        """
        stand_by = self._stand_by()
        with contextlib.ExitStack() as stack:
            for each in proxies:
                stack.enter_context(each.being("frozen"))
            self._wait_until_caught_up()
            self._replace(stand_by)
            for each in proxies:
                each.target = self.address

    def is_refused_room(self) -> bool:
        """Let the server write on until it needs a new segment of its log; its last act, mostly."""
        try:
            with psycopg.connect(self.current.url(AIRFLOW), autocommit=True) as connection:
                for _ in range(SPARE_SEGMENTS):
                    connection.execute(USE_SEGMENT)
        except psycopg.OperationalError:
            return True
        return False

    def _stand_by(self) -> Postgres:
        self.stand_bys += 1
        copy = Postgres(self.current.folder.with_name(f"stand-by-{self.stand_bys}"))
        prepare_folder(copy.folder)
        source = ("-h", str(self.current.socket), "-U", SUPERUSER)
        self._run("pg_basebackup", *source, "-D", str(copy.data), "-R", "--checkpoint=fast")
        copy.start()
        return copy

    def _replace(self, stand_by: Postgres) -> None:
        old, self.current = self.current, stand_by
        family = _family(old)
        family[0].kill()
        self._run("pg_ctl", "promote", "-w", "-D", str(stand_by.data))
        psutil.wait_procs(family, 60)
        shutil.rmtree(old.folder)

    @property
    def address(self) -> str:
        """The path of its socket."""
        return str(self.current.socket / ".s.PGSQL.5432")

    def _wait_until_caught_up(self) -> None:
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        with psycopg.connect(self.current.url(AIRFLOW), autocommit=True) as connection:
            while [behind for (behind,) in connection.execute(BEHIND)] != [0]:
                assert time.monotonic() < deadline, "the stand-by does not catch up"
                time.sleep(0.1)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.current.binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.current.folder,
            check=True,
            **run_as(),
        )


def end_server(database: Postgres) -> None:
    """Kill a server with all of its processes; returns when the last has ended."""
    family = _family(database)
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(family, 60)


def _family(database: Postgres) -> list[psutil.Process]:
    pid = database.pid()
    assert pid is not None
    server = psutil.Process(pid)
    return [server, *server.children()]
