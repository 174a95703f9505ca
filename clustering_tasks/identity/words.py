"""Words about cluster ids, for both sides: this module imports no library."""

from typing import Literal, get_args

# Of an id, since its last publication: in the published run; went into another id; its members went
# into several; no cluster of the published run is it, and one may be again; for ever gone; all but
# one of its members were deleted.
State = Literal["active", "merged", "split", "dormant", "ended", "deleted"]
STATES: tuple[State, ...] = get_args(State)

# What became of an id in one run. `born`, `continued`, `grew`, `returned` and the survivors of
# `merged` and `split` are clusters of that run; the others are not.
Change = Literal[
    "born", "continued", "grew", "merged", "split", "returned", "absorbed", "dormant", "ended"
]
CHANGES: tuple[Change, ...] = get_args(Change)
