"""Errors, and the exit codes by which a runner tells fatal from transient.

| code | class | retried | meaning |
|---|---|---|---|
| 0 | | | done |
| 64 | `SettingsError` | no | a wrong value, an unknown key, an impossible pair |
| 65 | `BadInputError` | no | Stage 3's folder, or an earlier step's result, breaks its contract |
| 69 | `ResourcesError` | no | too little memory or disk for this level |
| 70 | any other exception | yes | a defect of ours |
| 75 | `TransientError` | yes | may pass on a second try |

The numbers are those of `sysexits.h`.
"""

from typing import ClassVar

INTERNAL_ERROR = 70


class Stage4Error(Exception):
    """A failure whose message says what happened, to what, and what to do."""

    exit_code: ClassVar[int]


class SettingsError(Stage4Error):
    """The caller's settings are refused; every problem is named in the message."""

    exit_code = 64


class BadInputError(Stage4Error):
    """The input breaks the contract; trying again cannot help."""

    exit_code = 65


class ResourcesError(Stage4Error):
    """The work would not fit into this machine's memory or disk."""

    exit_code = 69


class TransientError(Stage4Error):
    """Something outside changed or went away; trying again may help."""

    exit_code = 75


FATAL_EXIT_CODES = frozenset(
    error.exit_code for error in (SettingsError, BadInputError, ResourcesError)
)
