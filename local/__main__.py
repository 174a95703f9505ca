"""`python -m local up|down|demo|clean`: see the Makefile. `exec COMMAND`: as a part of `up`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dotenv import dotenv_values

from local.configuration import MARKER, PLUGINS, USER
from local.errors import LocalError
from local.postgres import RESULTS
from local.signals import raise_keyboard_interrupt
from local.stack import Stack
from local.state import REPO, VARIABLE, State


def up() -> None:
    """Start Airflow, print the login, and as the last line the base URL."""
    refuse_state_of_env_file(REPO)
    stack = Stack(State.open())
    down, again = (f"`{stack.state.make(target)}`" for target in ("down", "up"))
    started = stack.up()
    if not started:
        print("Airflow is up already")
        if changed := stack.changed_settings():
            names = ", ".join(changed)
            print(f"Changed since, and in force after {down} and {again}: {names}")
    print(f"Stage 3:   {stage3_folder(stack)}")
    print(f"Results:   {stack.environment['STAGE4_OUTPUT']}")
    print(f"Database:  {stack.database.psql(RESULTS)}")
    print(f"Logs:      {stack.state.logs}")
    print(f"Stop:      {stack.state.make('down')}")
    print(f"User:      {USER}")
    print(f"Password:  {stack.state.secrets().password}")
    print(stack.base_url)


def refuse_state_of_env_file(folder: Path) -> None:
    """Refuse a state folder in `.env`: `make down` and a program's shell would not find it.

    Raises:
        LocalError: it stands there.
    """
    if VARIABLE in dotenv_values(folder / ".env"):
        raise LocalError(
            f"{VARIABLE} in {folder / '.env'} names no state folder: take it out there, and "
            f"`export {VARIABLE}=FOLDER` in the shell of all commands"
        )


def stage3_folder(stack: Stack) -> str:
    """Stage 3's folder, and what to do where there is none."""
    folder = stack.environment["STAGE4_INDICES"]
    if "://" in folder or Path(folder).is_dir():
        return folder
    return (
        f"{folder} does not exist, so every run will fail: set STAGE4_INDICES to Stage 3's folder "
        f"in `.env` (then `{stack.state.make('down')}`, `{stack.state.make('up')}`)"
        + (
            f", or let `{stack.state.make('demo')}` write a sample corpus there"
            if is_sample(stack, folder)
            else ""
        )
    )


def is_sample(stack: Stack, folder: str) -> bool:
    """Whether `folder` is where the sample corpus belongs."""
    return Path(folder) == stack.state.sample


def down() -> None:
    """Stop Airflow and its database."""
    state = State.open()
    Stack(state).down()
    print(f"Airflow and its database are stopped ({state.root})")


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
