"""Era: who wrote a configuration, as far as the file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Era:
    """Who wrote a configuration.

    Attributes:
        version: Of Keras as numbers; None where the file does not say.
        text: The same as stored, e.g. ``"2.2.4-tf"``.
        backend: As stored, or None.
    """

    version: tuple[int, ...] | None = None
    text: str | None = None
    backend: str | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Era:
        """From a checkpoint's metadata, or the outermost keys of ``model.to_json()``."""
        text, backend = metadata.get("keras_version"), metadata.get("backend")
        text = text if isinstance(text, str) else None
        return cls(_numbers(text), text, backend if isinstance(backend, str) else None)

    @property
    def name(self) -> str:
        """For people: ``"Keras 1.1.2"``, ``"tf.keras 2.4.0"``."""
        if self.version is None:
            return "Keras of an unknown version"
        # TensorFlow's had the mark -tf until 2.3, numbers of its own from 2.4 on.
        tensorflow = str(self.text).endswith("-tf") or (2, 4) <= self.version < (3,)
        return f"{'tf.keras' if tensorflow else 'Keras'} {self.text}"

    @property
    def modern(self) -> bool:
        """Whether it is known to be Keras 3."""
        return self.version is not None and self.version >= (3,)


def _numbers(text: str | None) -> tuple[int, ...] | None:
    numbers: list[int] = []
    for part in (text or "").split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits or len(digits) > 6:
            break
        numbers.append(int(digits))
    return tuple(numbers) or None
