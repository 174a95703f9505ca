"""Where the server is and who asks; a password comes from a file or the keyboard only."""

import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from getpass import getpass
from pathlib import Path
from urllib.parse import urlsplit

from stage4.cli.errors import UsageError

URL, TOKEN = "STAGE4_URL", "STAGE4_TOKEN"
USER, PASSWORD_FILE = "STAGE4_USER", "STAGE4_PASSWORD_FILE"

_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?")


@dataclass(frozen=True)
class Login:
    """A server and a user.

    Attributes:
        url: of Airflow, without a slash at its end.
        token: of an earlier login; None: the user logs in.
        user: name of the user.
        password: None: not needed.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def find_login(
    url: str | None, user: str | None, password_file: str | None, environment: Mapping[str, str]
) -> Login:
    """Put a login together: options first, then the environment.

    Args:
        url: option, None where it is not given; the same for the others.
        user: a user who is named logs in, whatever token the environment has.
        password_file: `-` is standard input; without one the terminal asks.
        environment: variables of the process.

    Raises:
        UsageError: something is missing, and how to give it.
    """
    address = _address(url or environment.get(URL))
    token = environment.get(TOKEN, "").strip()
    if user is None and token:
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise UsageError(f"{TOKEN} holds no token: fetch one with `stage4 token`.")
        return Login(address, token=token)
    name = user or environment.get(USER)
    if not name:
        raise UsageError(
            f"Who are you? Give --user and --password-file, or set {TOKEN} (`stage4 token` prints "
            f"one), or {USER} and {PASSWORD_FILE}."
        )
    return Login(
        address, user=name, password=_password(password_file or environment.get(PASSWORD_FILE))
    )


def _address(url: str | None) -> str:
    if not url:
        raise UsageError(
            f"Where is Airflow? Give --url, or set {URL}, for example {URL}=http://a:1"
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(
        parts.netloc.rpartition("@")[2]
    ):
        raise UsageError(f"{url!r} is no address: it has the form http://host:port or https://host")
    if parts.username or parts.password:
        raise UsageError("The address must hold no password: give --user and --password-file.")
    return url.rstrip("/")


def _password(file: str | None) -> str:
    if file == "-":
        return sys.stdin.readline().rstrip("\r\n")
    if file:
        try:
            _warn_if_open(Path(file))
            return Path(file).read_text(encoding="utf-8").splitlines()[0]
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The password file cannot be read: {error}") from None
        except IndexError:
            raise UsageError(f"The password file {file} is empty.") from None
    if not sys.stdin.isatty():
        raise UsageError(f"No password: give --password-file, or set {PASSWORD_FILE} or {TOKEN}.")
    return getpass("Password: ")


def _warn_if_open(file: Path) -> None:
    """Warn of a password file that other users of this machine can read; a pipe is no file."""
    found = file.stat()
    mode = stat.S_IMODE(found.st_mode)
    if os.name == "posix" and stat.S_ISREG(found.st_mode) and mode & 0o077:
        sys.stderr.write(
            f"warning: other users can read the password file {file} (mode {mode:o}): "
            f"chmod 600 {file}\n"
        )
