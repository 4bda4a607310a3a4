"""Versions of Keras as targets of a save: ``compat=``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kio.errors import UnsupportedError

# The last release of each minor version: what metadata.json says of a file for that version.
RELEASES = (
    "3.0.5", "3.1.1", "3.2.1", "3.3.3", "3.4.1", "3.5.0", "3.6.0", "3.7.0", "3.8.0", "3.9.2", "3.10.0", "3.11.3",
    "3.12.0", "3.13.2", "3.14.1", "3.15.1",
)  # fmt: skip
_VERSION = re.compile(r"(3)\.(\d{1,3})(?:\.(\d{1,3}))?")


def installed() -> tuple[int, ...]:
    """The Keras that runs here."""
    import keras

    return tuple(int(part) for part in re.findall(r"\d+", keras.__version__)[:3])


def version_of(compat: str | None) -> tuple[int, ...]:
    """The version that a user names; the installed one for None.

    Raises:
        UnsupportedError: for anything but a Keras 3 version up to the installed one.
    """
    now = installed()
    if compat is None:
        return now
    match = _VERSION.fullmatch(str(compat))
    if match is None:
        raise UnsupportedError(f"compat: expected a Keras version like '3.4', found {compat!r}")
    minor = int(match[2])
    if match[3] is not None:
        version: tuple[int, ...] = (3, minor, int(match[3]))
    elif (3, minor) == now[:2]:
        version = now
    else:
        version = (3, minor, int(RELEASES[minor].rsplit(".", 1)[1]) if minor < len(RELEASES) else 0)
    if version > now:
        raise UnsupportedError(
            f"compat: expected at most the installed Keras {'.'.join(map(str, now))}, found {compat!r}"
        )
    return version


def release(version: tuple[int, ...]) -> str:
    """The version as ``metadata.json`` has it."""
    if version == installed():
        import keras

        return str(keras.__version__)
    return ".".join(map(str, version))


def downgraded(tree: Any, version: tuple[int, ...]) -> Any:
    """A configuration as that version reads it."""
    return tree


def check_layers(stored: Sequence[Any], version: tuple[int, ...]) -> None:
    """Refuse layers whose variables that version keeps in another form."""
