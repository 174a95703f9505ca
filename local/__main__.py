"""`python -m local up|down|demo|clean`: see the Makefile. `exec COMMAND`: as a part of `up`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from local.configuration import MARKER, PLUGINS, USER
from local.errors import LocalError
from local.postgres import RESULTS
from local.signals import raise_keyboard_interrupt
from local.stack import Stack
from local.state import REPO, State


def up() -> None:
    """Start Airflow, print the login, and as the last line the base URL."""
    stack = Stack(State.open())
    started = stack.up()
    if not started:
        print("Airflow is up already")
        if changed := stack.changed_settings():
            names = ", ".join(changed)
            print(f"Changed since, and in force after `make down` and `make up`: {names}")
    print(f"Stage 3:   {stage3_folder(stack)}")
    print(f"Results:   {stack.environment['STAGE4_OUTPUT']}")
    print(f"Database:  {stack.database.psql(RESULTS)}")
    print(f"Logs:      {stack.state.logs}")
    print(f"User:      {USER}")
    print(f"Password:  {stack.state.secrets().password}")
    print(stack.base_url)


def stage3_folder(stack: Stack) -> str:
    """Stage 3's folder, and what to do where there is none."""
    folder = stack.environment["STAGE4_INDICES"]
    if "://" in folder or Path(folder).is_dir():
        return folder
    return (
        f"{folder} does not exist, so every run will fail: set STAGE4_INDICES to Stage 3's folder "
        "in `.env` (then `make down`, `make up`)"
        + (", or let `make demo` write a sample corpus there" if is_sample(stack, folder) else "")
    )


def is_sample(stack: Stack, folder: str) -> bool:
    """Whether `folder` is where the sample corpus belongs."""
    return Path(folder) == stack.state.sample


def down() -> None:
    """Stop Airflow and its database."""
    Stack(State.open()).down()
    print("Airflow and its database are stopped")


def demo() -> None:
    """Cluster the sample corpus and show the result."""
    # Imported here: the sample's encoder brings FAISS, which `up` and `down` have no use for.
    from local.demo import demo as run

    run()


def execute(command: Sequence[str]) -> int:
    """Run a command with the settings and connections of `up`; returns its exit code.

    The database runs meanwhile, also when nothing else does.

    Raises:
        LocalError: there is no such command, or `up` has never been.
    """
    stack = Stack(State.open())
    path = os.pathsep.join((str(REPO), str(PLUGINS)))
    given = {key: value for key, value in stack.environment.items() if key != MARKER}
    with stack.database_up():
        try:
            return subprocess.run(command, env=given | {"PYTHONPATH": path}, check=False).returncode
        except (FileNotFoundError, PermissionError) as error:
            raise LocalError(f"{command[0]} cannot be run ({error.strerror})") from None


def clean() -> None:
    """Stop Airflow and remove all its data."""
    state = State.open()
    Stack(state.demo).clean()  # as root, its database lies outside of the state folder
    Stack(state).clean()


COMMANDS: dict[str, Callable[[], None]] = {"up": up, "down": down, "demo": demo, "clean": clean}


def main() -> int:
    """Run the command named on the command line; 1 with a message when it fails."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=[*COMMANDS, "exec"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of exec: a command")
    given = parser.parse_args()
    if (given.command == "exec") != bool(given.arguments):
        parser.error("exec takes a command, the others take nothing")
    raise_keyboard_interrupt()
    try:
        if given.command == "exec":
            return execute(given.arguments)
        COMMANDS[given.command]()
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
