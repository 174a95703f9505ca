"""Files that this package wrote, and that something else has cut short, edited or removed."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from zipfile import BadZipFile

from upath import UPath

from clustering_tasks.errors import BadInputError, Stage4Error

# What readers of JSON, Parquet, `.npy` and `.npz` raise of such files. Arrow's own errors are
# subclasses of these, or an OSError without a number.
_UNREADABLE = (
    *(ValueError, TypeError, LookupError, AttributeError, EOFError, NotImplementedError),
    *(BadZipFile, zlib.error),
)


@contextmanager
def refusing_damage(path: UPath, remedy: str) -> Iterator[None]:
    """Name the file that cannot be read, and what to do.

    Args:
        path: that is read.
        remedy: an order to the reader of the message.

    Raises:
        BadInputError: the file is gone or damaged. An error of this package, as of an artefact of
            another version, stays as it is, and so does the system's, as for want of rights.
    """
    try:
        yield
    except Stage4Error:
        raise
    except FileNotFoundError:
        raise BadInputError(f"{path} is gone: {remedy}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, remedy, error) from None
    except _UNREADABLE as error:
        raise _damaged(path, remedy, error) from None


def _damaged(path: UPath, remedy: str, error: Exception) -> BadInputError:
    first = (str(error).splitlines() or [""])[0]
    return BadInputError(f"{path} is damaged ({type(error).__name__}: {first}): {remedy}")
