"""Stands in for `python` in tests of the runners: behaves like a step, well or badly, as told."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CHECKPOINTED = 85


def main() -> None:
    step, options = sys.argv[3], dict(zip(sys.argv[4::2], sys.argv[5::2], strict=True))
    name = step if "--part" not in options else f"{step}-{options['--part']}"
    folder = Path(options["--workspace"], options["--level"], "runs", options["--job"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.seen.json").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
    behaviour, _, argument = os.environ.get("FAKE_STEP", "succeed").partition(":")
    globals()[behaviour](folder / f"{name}.json", argument)


def succeed(result: Path, _: str) -> None:
    content: dict[str, Any] = {
        "step": result.stem.split("-")[0],
        "metrics": {"items": 7, "share": float("nan")},
    }
    if content["step"] == "plan":
        content["parts"] = [{"part": 0, "name": "health"}, {"part": 1, "name": "sports"}]
    say("info", "step done", step=content["step"])
    result.write_text(json.dumps(content))
    sys.stdout.write(json.dumps(content) + "\n")


def fail(_: Path, code: str) -> None:
    say("warning", "this is not the error")
    say("error", "step failed", error="vector event_emb_7 of events.index is zero")
    say("info", "goodbye")
    sys.exit(int(code))


def break_down(_result: Path, _: str) -> None:
    """Log a defect as `clustering_tasks` does."""
    trace = "Traceback (most recent call last):\n  ...\nZeroDivisionError: a defect"
    say("error", "unexpected failure", exception=trace, job_id="j")
    sys.exit(70)


def run_out_of_memory(_result: Path, _: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash(_result: Path, _: str) -> None:
    raise ZeroDivisionError("a defect")


def chatter(result: Path, argument: str) -> None:
    for noise in (b"plain words\n", b"\xff\xfe not UTF-8\n", b"{not json\n", b"[1, 2]\n", b"\n"):
        os.write(1, noise)
        os.write(2, noise)
    os.write(1, b"x" * 300_000 + b"\n")
    succeed(result, argument)


def redact(_result: Path, _: str) -> None:
    """End well, without a result."""


def hang(result: Path, manners: str) -> None:
    """Run on with a child of its own until killed; end with 0 when `polite`."""
    handler = (lambda *_: sys.exit(0)) if manners == "polite" else signal.SIG_IGN
    signal.signal(signal.SIGTERM, handler)
    child = subprocess.Popen(["sleep", "600"])
    result.write_text(json.dumps({"step": result.stem}))  # a dead try's, say
    tell_pids(result, os.getpid(), child.pid)
    time.sleep(600)


def keep(result: Path, _: str) -> None:
    """Leave a checkpoint, as `cluster` does while it searches, and say so when ended."""
    block = result.with_suffix(".checkpoint") / "key-digest.npz"
    block.parent.mkdir(exist_ok=True)
    block.touch()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(CHECKPOINTED))
    tell_pids(result, os.getpid())
    time.sleep(600)


def follow(result: Path, _: str) -> None:
    """Run until standard input ends, as `clustering_tasks` does beside its work."""
    tell_pids(result, os.getpid())
    if os.environ["STAGE4_EXIT_WITH_PARENT"] == "1":
        sys.stdin.read()


def tell_pids(result: Path, *pids: int) -> None:
    draft = result.with_suffix(".draft")
    draft.write_text(" ".join(map(str, pids)))
    draft.rename(result.with_suffix(".pids"))


def say(level: str, event: str, **fields: object) -> None:
    sys.stderr.write(json.dumps({"event": event, "level": level, **fields}) + "\n")


if __name__ == "__main__":
    main()
