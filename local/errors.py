"""The one exception that ends a command with a message instead of a traceback."""


class LocalError(Exception):
    """Something that the reader can act on; the message says what happened and what to do."""
