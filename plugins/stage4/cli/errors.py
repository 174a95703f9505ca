"""What can go wrong for `stage4`, and its exit codes; the numbers are those of `sysexits.h`."""

from typing import ClassVar


class CommandError(Exception):
    """A failure whose message says what happened, to what, and what to do."""

    exit_code: ClassVar[int]


class JobFailedError(CommandError):
    """The job that was waited for, or looked at with `--watch`, has failed."""

    exit_code = 1


class UsageError(CommandError):
    """Wrong arguments, or settings that are refused; nothing was started."""

    exit_code = 64


class MissingError(CommandError):
    """There is no such job, cluster or run, or nothing is published yet."""

    exit_code = 66


class UnreachableError(CommandError):
    """The server does not answer, or look-ups are down."""

    exit_code = 69


class ServerError(CommandError):
    """The server failed, or what answers is no Airflow with Stage 4."""

    exit_code = 70


class BusyError(CommandError):
    """Too many requests, or too slow an answer: try again later."""

    exit_code = 75


class StoppedError(CommandError):
    """Ctrl-C while a job was followed; the job goes on."""

    exit_code = 130


class DeniedError(CommandError):
    """No login, a wrong one, or one without the right."""

    exit_code = 77
