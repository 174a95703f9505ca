"""`stage4`: the commands; `server` asks, `render` shows what it answers."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clustering_tasks.settings.levels import LEVELS
from stage4.cli.errors import (
    CommandError,
    JobFailedError,
    ServerError,
    StoppedError,
    UnreachableError,
    UsageError,
)
from stage4.cli.login import PASSWORD_FILE, TOKEN, URL, USER, find_login

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stage4.cli.server import Server

Json_ = dict[str, Any]
_USAGE_OF_TYPER = 2

app = typer.Typer(
    name="stage4",
    help="Stage 4's clusters from a terminal. Exit codes: docs/reference/terminal.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

LevelName = Annotated[
    str, typer.Argument(metavar="LEVEL", help=f"One of {', '.join(LEVELS)}, or the singular.")
]
Levels = Annotated[
    list[str], typer.Option("--level", help="Only this level; may be repeated. Default: all.")
]
OneLevel = Annotated[str | None, typer.Option("--level", help="Only this level.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
LoadId = Annotated[
    int | None, typer.Option("--load", help="Number of a load. Default: the published one.")
]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="As submit and list print it.")]
FormerRunId = Annotated[int | None, typer.Option("--run", hidden=True)]


@app.callback()
def options(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help=f"Airflow's address. Default: ${URL}.")] = None,
    user: Annotated[
        str | None,
        typer.Option(
            help="Name of the user who logs in. Default: nobody, where "
            f"${TOKEN} is set; else ${USER}."
        ),
    ] = None,
    password_file: Annotated[
        str | None,
        typer.Option(
            help=f"File with the password, `-` for standard input. Default: ${PASSWORD_FILE}, else "
            "the terminal asks."
        ),
    ] = None,
) -> None:
    """Keep where the server is and who asks, until a command needs it."""
    context.obj = (url, user, password_file)


@app.command("token")
def token_command(context: typer.Context, as_json: Json = False) -> None:
    """Log in and print a token, for STAGE4_TOKEN; nothing is stored."""
    with _server(context) as server:
        token = server.token()
    _show({"token": token}, as_json, [token])


@app.command("health")
def health_command(context: typer.Context, as_json: Json = False) -> None:
    """Tell whether look-ups work, and what they rest on; 69 when they do not."""
    from stage4.cli import render

    with _server(context) as server:
        found = server.health()
    _show(found, as_json, render.health(found))
    if found["status"] == "down":
        raise typer.Exit(UnreachableError.exit_code)


@app.command("submit")
def submit_command(
    context: typer.Context,
    level: Annotated[
        str,
        typer.Argument(
            metavar="LEVEL", help=f"One of {', '.join(LEVELS)}, or the singular; or all."
        ),
    ],
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting (docs/reference/settings.md); may be repeated. With `all`, "
            "LEVEL.NAME=VALUE is for one level.",
        ),
    ] = [],  # noqa: B006  (typer copies it)
    key: Annotated[
        str | None,
        typer.Option(help="Submitted again, the same key starts nothing: it is the same job."),
    ] = None,
    callback_url: Annotated[
        str | None,
        typer.Option(help="The job's own receiver of events, of a host that the server allows."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the job to its end; 1 when it fails.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start a run of a level."""
    from stage4.cli import jobs, render

    level = _level(level, and_all=True)
    with _server(context) as server:
        job = jobs.submit(server, level, set_, key, callback_url)
        if wait:
            if not as_json:
                _print([f"job {job['job_id']}"], error=True)
            _end(server, job["job_id"], as_json)
        else:
            _show(job, as_json, render.submitted(job))


@app.command("status")
def status_command(
    context: typer.Context,
    job_id: JobName,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the job to its end; 1 when it fails.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a job: its state, its tasks, and what it has loaded."""
    from stage4.cli import jobs

    with _server(context) as server:
        if watch:
            _end(server, job_id, as_json)
        else:
            _show_job(jobs.read(server, job_id), as_json)


@app.command("pause")
def pause_command(
    context: typer.Context,
    job_id: JobName,
    now: Annotated[
        bool,
        typer.Option("--now", help="End running tasks, too; `cluster` goes on from where it was."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Let no further task of a job start; what is finished is kept."""
    from stage4.cli import jobs

    with _server(context) as server:
        _show_act(jobs.act(server, job_id, "pause", now=now), as_json)


@app.command("resume")
def resume_command(context: typer.Context, job_id: JobName, as_json: Json = False) -> None:
    """Let a paused job go on."""
    from stage4.cli import jobs

    with _server(context) as server:
        _show_act(jobs.act(server, job_id, "resume"), as_json)


@app.command("retry")
def retry_command(
    context: typer.Context,
    job_id: JobName,
    begin: Annotated[
        str | None,
        typer.Option("--from", help="A task: it and what follows run again, failed or not."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the job to its end; 1 when it fails.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the failed tasks of a job again, and what follows them."""
    from stage4.cli import jobs

    with _server(context) as server:
        found = jobs.act(server, job_id, "retry", **{"from": begin})
        if wait:
            _end(server, job_id, as_json)
        else:
            _show_act(found, as_json)


@app.command("cancel")
def cancel_command(context: typer.Context, job_id: JobName, as_json: Json = False) -> None:
    """End a job for good; nothing of it is published."""
    from stage4.cli import jobs

    with _server(context) as server:
        _show_act(jobs.cancel(server, job_id), as_json)


@app.command("list")
def list_command(
    context: typer.Context,
    level: OneLevel = None,
    state: Annotated[
        str | None,
        typer.Option(help="Only queued, running, paused, completed, failed or canceled ones."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most jobs.")] = 20,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    from stage4.cli import render
    from stage4.cli.server import STAGE4

    level = _level(level) if level else None
    with _server(context) as server:
        rows = list(server.rows(f"{STAGE4}/jobs", "jobs", limit, level=level, state=state))
    _show({"jobs": rows}, as_json, render.jobs(rows))


@app.command("show")
def show_command(
    context: typer.Context,
    cluster_id: Annotated[str, typer.Argument(metavar="CLUSTER_ID", help="event_7f3a9c2e41b0")],
    members: Annotated[bool, typer.Option("--members", help="Show its members, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most members.")] = 50,
    load: LoadId = None,
    published_at: Annotated[
        str | None,
        typer.Option(
            "--published-at",
            metavar="TIME",
            help="In the load that was published then: 2026-03-01T12:00:00Z.",
        ),
    ] = None,
    run: FormerRunId = None,
    as_json: Json = False,
) -> None:
    """Show a cluster, and its members; of a former id, the cluster that it went into."""
    from stage4.cli import render
    from stage4.cli.server import named

    path, load_id = named("clusters", cluster_id), _load_id(load, run)
    with _server(context) as server:
        found = server.follow(path, load_id=load_id, published_at=published_at)
        if "choices" in found:
            _show(found, as_json, render.successors(found))
            return
        rows = None
        if members:
            same = found["load_id"]  # a load that is published meanwhile is another one
            path = named("clusters", found["cluster_id"])
            rows = list(server.rows(f"{path}/members", "members", limit, load_id=same))
    if found["cluster_id"] != cluster_id:
        _print([f"{cluster_id} went into {found['cluster_id']}:"], error=True)
    answer = found if rows is None else found | {"members": rows}
    _show(answer, as_json, render.cluster(found, rows))


@app.command("history")
def history_command(
    context: typer.Context,
    cluster_id: Annotated[str, typer.Argument(metavar="CLUSTER_ID", help="event_7f3a9c2e41b0")],
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most runs.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what became of a cluster's id, the newest run first; also of one that has ended."""
    from stage4.cli import render
    from stage4.cli.server import named

    path = f"{named('clusters', cluster_id)}/lineage"
    with _server(context) as server:
        found = server.get(path, limit=limit)
    _show(found, as_json, render.history(found))


@app.command("search")
def search_command(
    context: typer.Context,
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help='Words of label, phrases, entities: `"a b" -c`; the last one may be a beginning.',
        ),
    ],
    level: Levels = [],  # noqa: B006  (typer copies it)
    domain: Annotated[str | None, typer.Option(help="Only of this domain.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most clusters of a level.")] = 10,
    as_json: Json = False,
) -> None:
    """Find clusters by words, best first."""
    from stage4.cli import render, searching

    levels = [_level(each) for each in level]
    with _server(context) as server:
        found = searching.search(server, text, levels, domain=domain, limit=limit)
    rows = [cluster for each in found for cluster in each["clusters"]]
    _show({"levels": found}, as_json, render.clusters(rows))


@app.command("metrics")
def metrics_command(
    context: typer.Context,
    level: LevelName,
    name: Annotated[
        list[str], typer.Option("--name", help="Only this metric (docs/METRICS.md); repeatable.")
    ] = [],  # noqa: B006  (typer copies it)
    runs: Annotated[int, typer.Option(min=1, max=200, help="Published runs to look back.")] = 30,
    as_json: Json = False,
) -> None:
    """Show a level's metrics, how they went, and its alerts."""
    from stage4.cli import render
    from stage4.cli.server import STAGE4

    level = _level(level)
    with _server(context) as server:
        names = ",".join(name) or None
        found = server.get(f"{STAGE4}/metrics/{level}", names=names, limit=runs)
        alerts = list(server.rows(f"{STAGE4}/alerts", "alerts", 50, level=level, current="true"))
    _show(found | {"alerts": alerts}, as_json, render.metrics(found, alerts, name or None))


@app.command("resources")
def resources_command(context: typer.Context, as_json: Json = False) -> None:
    """Show what the API server's host and Airflow's pools have left."""
    from stage4.cli import render
    from stage4.cli.server import STAGE4

    with _server(context) as server:
        found = server.get(f"{STAGE4}/resources")
    _show(found, as_json, render.resources(found))


@app.command("correct")
def correct_command(
    context: typer.Context,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="One of together, apart, rename, pin, hide.")
    ],
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="together: clusters or items; apart: items; else one cluster. Items by vector id "
            "or source id.",
        ),
    ],
    leave: Annotated[
        str | None, typer.Option("--from", help="apart: the cluster whose story they leave.")
    ] = None,
    other: Annotated[
        list[str], typer.Option("--other", help="apart: an item that stays; may be repeated.")
    ] = [],  # noqa: B006  (typer copies it)
    label: Annotated[str | None, typer.Option(help="rename: the new name.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for those who read it.")] = "",
    level: OneLevel = None,
    as_json: Json = False,
) -> None:
    """Correct the clusters; the runs that start from now on apply it."""
    from stage4.cli import render
    from stage4.cli.corrections import body
    from stage4.cli.server import STAGE4

    known = _level(level) if level else None
    asked = body(kind, names, level=known, others=other, cluster=leave, label=label, reason=reason)
    with _server(context) as server:
        found = server.post(f"{STAGE4}/corrections", asked)
    _show(found, as_json, render.correction(found))


@app.command("corrections")
def corrections_command(
    context: typer.Context,
    level: OneLevel = None,
    cluster: Annotated[
        str | None, typer.Option(help="Only those about this cluster or items that it holds.")
    ] = None,
    undone: Annotated[bool, typer.Option("--undone", help="Those that were taken back.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most corrections.")] = 50,
    as_json: Json = False,
) -> None:
    """List what people corrected, newest first."""
    from stage4.cli import render
    from stage4.cli.server import STAGE4

    which = {"level": _level(level) if level else None, "cluster_id": cluster}
    holds = "false" if undone else "true"
    with _server(context) as server:
        rows = list(
            server.rows(f"{STAGE4}/corrections", "corrections", limit, holds=holds, **which)
        )
    _show({"corrections": rows}, as_json, render.corrections(rows))


@app.command("undo")
def undo_command(
    context: typer.Context,
    correction: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Of a correction.")],
    as_json: Json = False,
) -> None:
    """Take a correction back; the runs that start from now on do without it."""
    from stage4.cli import render
    from stage4.cli.server import STAGE4

    with _server(context) as server:
        found = server.delete(f"{STAGE4}/corrections/{correction}")
    _show(found, as_json, render.correction(found))


events_app = typer.Typer(
    help="Events to receivers outside, and from Stage 3.", no_args_is_help=True
)
app.add_typer(events_app, name="events")


@events_app.command("list")
def list_events_command(
    context: typer.Context,
    level: OneLevel = None,
    state: Annotated[
        str | None, typer.Option(help="Only pending, delivered or given_up ones.")
    ] = None,
    receiver: Annotated[
        str | None, typer.Option(help="Only those that it gets: a connection, or callback.")
    ] = None,
    job: Annotated[str | None, typer.Option(help="Only those of this job.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most events.")] = 50,
    as_json: Json = False,
) -> None:
    """List events and whether their receivers have taken them, newest first."""
    from stage4.cli import render
    from stage4.cli.server import STAGE4

    which = {"level": _level(level) if level else None, "state": state, "receiver": receiver}
    with _server(context) as server:
        rows = list(server.rows(f"{STAGE4}/events", "events", limit, job_id=job, **which))
    _show({"events": rows}, as_json, render.events(rows))


@events_app.command("receivers")
def receivers_command(context: typer.Context, as_json: Json = False) -> None:
    """Show what each receiver has not taken."""
    from stage4.cli import render
    from stage4.cli.server import STAGE4

    with _server(context) as server:
        found = server.get(f"{STAGE4}/events/receivers")
    _show(found, as_json, render.receivers(found))


@events_app.command("from-stage3")
def list_events_of_stage3_command(
    context: typer.Context,
    level: OneLevel = None,
    waits: Annotated[
        bool | None,
        typer.Option(
            "--waiting/--taken", help="Only events that no run is for yet, or only others."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most events.")] = 50,
    as_json: Json = False,
) -> None:
    """List the events that came from Stage 3 and the jobs that are for them, newest first."""
    from stage4.cli import render
    from stage4.cli.server import STAGE4

    which = {"level": _level(level) if level else None, "waits": waits}
    with _server(context) as server:
        rows = list(server.rows(f"{STAGE4}/events/stage3", "events", limit, **which))
        waiting = server.get(f"{STAGE4}/events/stage3", limit=1, **which)["waiting"]
    found = {"events": rows, "waiting": waiting}
    _show(found, as_json, render.events_of_stage3(found))


@events_app.command("resend")
def resend_command(
    context: typer.Context,
    event: Annotated[
        list[str], typer.Argument(metavar="[EVENT]...", help="Ids of events. Default: all.")
    ] = [],  # noqa: B006  (typer copies it)
    level: OneLevel = None,
    receiver: Annotated[
        str | None, typer.Option(help="Only to this one: a connection, or callback.")
    ] = None,
    job: Annotated[str | None, typer.Option(help="Only those of this job.")] = None,
    as_json: Json = False,
) -> None:
    """Send events again that were given up, with the same ids."""
    from stage4.cli.server import STAGE4

    which = {"level": _level(level) if level else None, "receiver": receiver, "job_id": job}
    given = {name: value for name, value in which.items() if value}
    bodies = [given | {"event_id": each} for each in event] or [given]
    with _server(context) as server:
        sent = sum(server.post(f"{STAGE4}/events/resend", body)["deliveries"] for body in bodies)
    _show({"deliveries": sent}, as_json, [f"{sent:,} deliveries are sent again"])


@app.command("delete-document")
def delete_document_command(
    context: typer.Context,
    document_id: Annotated[
        str, typer.Argument(metavar="DOCUMENT_ID", help="As Stage 3 names it: doc_001.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a document and all that derives from it, at every level and in every run."""
    from stage4.cli import render
    from stage4.cli.server import document

    path = document(document_id)
    if not yes and not _meant(f"Delete {document_id} for good"):
        raise UsageError("Nothing was deleted.")
    with _server(context) as server:
        found = server.delete(path)
    _show(found, as_json, render.deletion(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Perform a command.

    Args:
        arguments: without the program's name; default: the process's.

    Returns:
        The exit code (docs/reference/terminal.md).
    """
    try:
        app(arguments, prog_name="stage4")
    except CommandError as error:
        _complain(str(error))
        return error.exit_code
    except (KeyError, TypeError) as error:
        _complain(
            f"the server's answer has another form than expected ({error!r}): do its version of "
            "Stage 4 and this one differ?"
        )
        return ServerError.exit_code
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
        return UsageError.exit_code if code == _USAGE_OF_TYPER else code
    return 0


def _server(context: typer.Context) -> "Server":
    """Log in with the options of the program; HTTP is imported only now."""
    from stage4.cli.server import Server

    url, user, password_file = context.obj
    return Server(find_login(url, user, password_file, os.environ))


def _meant(question: str) -> bool:
    """Ask in the terminal.

    Raises:
        UsageError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{question}? Nobody can answer here: add --yes if it is meant.")
    return typer.confirm(f"{question}?", err=True)


def _end(server: "Server", job_id: str, as_json: bool) -> None:
    """Follow a job to its end, show it, and fail with it."""
    from stage4.cli import jobs
    from stage4.cli.watch import follow

    try:
        follow(server, job_id, quiet=as_json)
    except KeyboardInterrupt:
        raise StoppedError(
            f"no longer watched; the job goes on: stage4 status --watch {job_id}"
        ) from None
    found = jobs.read(server, job_id)
    _show_job(found, as_json)
    if found["state"] == "failed":
        raise JobFailedError(jobs.failure(found))
    if found["state"] == "canceled":
        raise JobFailedError(f"job {job_id} was canceled")


def _show_act(found: Json_, as_json: bool) -> None:
    from stage4.cli import render

    _show(found, as_json, render.job(found | {"errors": []}, None))


def _show_job(found: Json_, as_json: bool) -> None:
    from stage4.cli import render

    _show(found, as_json, render.job(found, found["run"]))


def _level(name: str, *, and_all: bool = False) -> str:
    """Take a level by its plural or singular.

    Raises:
        UsageError: there is no such level.
    """
    known = {level.cluster_type: level.name for level in LEVELS.values()}
    known |= {level: level for level in LEVELS} | ({"all": "all"} if and_all else {})
    if name not in known:
        raise UsageError(f"{name!r} is no level: take {', '.join(dict.fromkeys(known.values()))}.")
    return known[name]


def _load_id(load: int | None, run: int | None) -> int | None:
    """Take the number of a load by its option, or by the former name of that.

    Raises:
        UsageError: both are given, with two values.
    """
    if None not in (load, run) and load != run:
        raise UsageError("--run is the former name of --load, and has another value: leave it out.")
    return run if load is None else load


def _show(data: Json_, as_json: bool, rendered: Iterable["RenderableType"]) -> None:
    from stage4.cli.output import write_json

    if as_json:
        write_json(data)
    else:
        _print(rendered)


def _print(rendered: Iterable["RenderableType"], *, error: bool = False) -> None:
    from stage4.cli.output import console

    to = console(error=error)
    for each in rendered:
        # A token or a line to copy must stay in one piece.
        to.print(each, markup=False, soft_wrap=isinstance(each, str))


def _complain(message: str) -> None:
    from stage4.cli.output import clean

    lines = [clean(line) for line in message.splitlines()]
    sys.stderr.write("error: " + "\n".join(lines) + "\n")
