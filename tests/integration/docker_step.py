"""Imitates a step inside the test image: `--act` says how it behaves. Standard library only."""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("step")
    for name in ("level", "workspace", "job", "indices", "as-of", "act", "part"):
        parser.add_argument(f"--{name}")
    arguments = parser.parse_args()
    return ACTS[arguments.act](arguments)


def report(arguments: argparse.Namespace) -> int:
    """Succeed, and say in the result what this container may do."""
    log("info", "a step begins", level_name=arguments.level)
    sys.stdout.write("a library's print\n")
    log("warning", "ünïcode", rows=3)
    write_result(arguments, what_i_may(arguments))
    return 0


def bad_input(_: argparse.Namespace) -> int:
    log("error", "the folder breaks its contract", file="events.index")
    return 65


def transient(_: argparse.Namespace) -> int:
    log("error", "the connection was reset")
    return 75


def no_result(_: argparse.Namespace) -> int:
    return 0


def hungry(_: argparse.Namespace) -> int:
    blocks = []
    while True:
        blocks.append(b"x" * (1 << 22))


def talkative(arguments: argparse.Namespace) -> int:
    """Say something every 0.3 s for longer than a proxy's patience."""
    for number in range(15):
        log("info", f"line {number}")
        time.sleep(0.3)
    write_result(arguments, {})
    return 0


def deaf(_: argparse.Namespace) -> int:
    """Sleep through SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return sleep()


def content(arguments: argparse.Namespace) -> int:
    """Leave a result and end with 0 on SIGTERM, as if all were done."""
    write_result(arguments, {})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    return sleep()


def sleep() -> int:
    log("info", "asleep")
    time.sleep(300)
    return 0


def what_i_may(arguments: argparse.Namespace) -> dict[str, object]:
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "capabilities": int(status["CapEff"], 16) | int(status["CapPrm"], 16),
        "no_new_privileges": status["NoNewPrivs"],
        "writes_root": may_write("/etc"),
        "writes_tmp": may_write("/tmp"),  # noqa: S108
        "writes_kernels": may_write("/var/cache/stage4"),
        "kernels_are_warm": Path("/var/cache/stage4/warm").exists(),
        "sees_indices": bool(arguments.indices) and Path(arguments.indices, "a.index").exists(),
        "writes_indices": bool(arguments.indices) and may_write(arguments.indices),
        "network": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "secrets": [
            name
            for name in os.environ
            if name.startswith(("AIRFLOW", "STAGE4")) and name != "STAGE4_LOG_LEVEL"
        ],
    }


def may_write(folder: str) -> bool:
    with contextlib.suppress(OSError):
        Path(folder, "probe").touch()
        return True
    return False


def write_result(arguments: argparse.Namespace, metrics: dict[str, object]) -> None:
    folder = Path(arguments.workspace, arguments.level, "runs", arguments.job)
    folder.mkdir(parents=True, exist_ok=True)
    part = "" if arguments.part is None else f"-{arguments.part}"
    result = {"step": arguments.step, "metrics": metrics}
    folder.joinpath(f"{arguments.step}{part}.json").write_text(json.dumps(result))
    sys.stdout.write(json.dumps(result) + "\n")


def log(level: str, event: str, **fields: object) -> None:
    entry = {"event": event, "level": level, **fields}
    sys.stderr.write(json.dumps(entry, ensure_ascii=False) + "\n")


ACTS = {
    act.__name__: act
    for act in (report, bad_input, transient, no_result, hungry, talkative, deaf, content)
}

if __name__ == "__main__":
    sys.exit(main())
