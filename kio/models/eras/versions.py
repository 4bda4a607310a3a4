"""Versions of Keras: the one that runs here, and those that a user names for a save.

``compat=`` names the version that a file is for; its last release stands for a minor version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kio.errors import UnsupportedError

# The last release of each minor version: what metadata.json says of a file for that version.
RELEASES = (
    "3.0.5", "3.1.1", "3.2.1", "3.3.3", "3.4.1", "3.5.0", "3.6.0", "3.7.0", "3.8.0", "3.9.2", "3.10.0", "3.11.3",
    "3.12.0", "3.13.2", "3.14.1", "3.15.1",
)  # fmt: skip
NEWEST = tuple(map(int, RELEASES[-1].split(".")))
_VERSION = re.compile(r"3\.(\d{1,3})(?:\.(\d{1,3}))?")
# tf.keras of TensorFlow 2.12 to 2.15, and tf_keras, which came after it: one grammar for all.
_TF_KERAS = re.compile(r"2\.(1[2-9]|2\d)(?:\.\d{1,3})?")
TF_KERAS = (2, 15, 0)


def installed() -> tuple[int, ...]:
    """The Keras that runs here."""
    import keras

    return tuple(int(part) for part in re.findall(r"\d+", keras.__version__)[:3])


def version_of(compat: str | None, *, legacy: bool = False) -> tuple[int, ...]:
    """The version that a user names; the installed one for None.

    Args:
        compat: As the user says it.
        legacy: For a format that tf.keras 2 reads, too: ``TF_KERAS`` for its versions.

    Raises:
        UnsupportedError: for anything but a Keras 3 version up to the installed one.
    """
    now = installed()
    if _TF_KERAS.fullmatch(str(compat)):
        if legacy:
            return TF_KERAS
        raise UnsupportedError(f"compat: expected .h5 as the format for tf.keras 2, found another for {compat!r}")
    if compat is None:
        return now
    match = _VERSION.fullmatch(str(compat))
    if match is None:
        raise UnsupportedError(f"compat: expected a Keras version like '3.4', found {compat!r}")
    minor = int(match[1])
    version: tuple[int, ...]
    if match[2] is not None:
        version = (3, minor, int(match[2]))
    elif (3, minor) == now[:2]:
        version = now
    else:
        version = (3, minor, int(RELEASES[minor].rsplit(".", 1)[1]) if minor < len(RELEASES) else 0)
    if version > now:
        raise UnsupportedError(f"compat: expected at most the installed Keras {text_of(now)}, found {compat!r}")
    return version


def release(version: tuple[int, ...]) -> str:
    """The version as ``metadata.json`` has it."""
    if version == installed():
        import keras

        return str(keras.__version__)
    return text_of(version)


def backend(version: tuple[int, ...]) -> str:
    """The backend that a file for that version names as its writer's."""
    import keras

    return "tensorflow" if version < (3,) else str(keras.backend.backend())


def text_of(version: Iterable[int]) -> str:
    """As Keras spells it."""
    return ".".join(map(str, version))
