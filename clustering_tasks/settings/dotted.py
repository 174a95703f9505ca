"""Settings by dotted names (`hdbscan.min_samples`), and as mappings in mappings."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clustering_tasks.errors import SettingsError


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"hdbscan.min_samples": 3}` into `{"hdbscan": {"min_samples": 3}}`, at any depth."""
    result: dict[str, Any] = {}
    for path, value in flat.items():
        value = nested(value) if isinstance(value, Mapping) else value
        for name in reversed(str(path).split(".")):
            value = {name: value}
        merge_into(result, value)
    return result


def dotted(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of each setting: what `nested` puts together."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def assignments(pairs: Iterable[str]) -> dict[str, str]:
    """Read the command line's `a.b=c` pairs; the model turns the values into numbers.

    Raises:
        SettingsError: naming every pair without an equals sign.
    """
    pairs = list(pairs)
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise SettingsError(f"--set takes name=value, for example scope=domain; got {wrong}")
    return dict(pair.split("=", 1) for pair in pairs)


def merge_into(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Put nested settings over others, in place; groups are merged, values replaced.

    Raises:
        SettingsError: if a name is a group in one and a value in the other.
    """
    for name, value in other.items():
        if isinstance(value, Mapping) and name in into:
            if not isinstance(into[name], dict):
                raise SettingsError(
                    f"settings refused:\n  - {name}: given both as a group and as the value "
                    f"{into[name]!r}; give its settings, like {name}.{next(iter(value), '...')}"
                )
            merge_into(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value
