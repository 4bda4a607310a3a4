"""The random numbers of a process: states of the generators that training draws from.

Keras's own layers draw from seed generators, which are variables.  But data are shuffled
with NumPy's generator (or torch's), dropout without a seed is torch's own, and what users
write draws from Python's.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kio.errors import CorruptError
from kio.models.memory import backends

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rng:
    """States at some moment.

    Attributes:
        python: Of ``random``.
        numpy: Of ``numpy.random``, or None if it is not its usual generator.
        torch: Of torch's generators: the CPU's, then each GPU's; empty for other backends.
    """

    python: tuple[Any, ...]
    numpy: tuple[Any, ...] | None
    torch: list[Array] = field(default_factory=list)


def capture() -> Rng:
    """The states now."""
    # Annotated, because NumPy's type depends on the argument.
    numpy: Any = np.random.get_state(legacy=True)
    states = backends.current().random_states()
    return Rng(random.getstate(), numpy if numpy[0] == "MT19937" else None, states)


def apply(rng: Rng) -> None:
    """Go on from these states.

    Raises:
        CorruptError: if a generator does not take its state.
    """
    try:
        random.setstate(rng.python)
        if rng.numpy is not None:
            np.random.set_state(rng.numpy)
        if rng.torch:
            backends.current().set_random_states(rng.torch)
    except (TypeError, ValueError, RuntimeError, OverflowError) as e:
        raise CorruptError(f"state of random numbers: expected one that its generator takes, found {e}") from e


def encode(rng: Rng) -> dict[str, Array]:
    """States as arrays, by name."""
    version, internal, gauss = rng.python
    numpy = None
    if rng.numpy is not None:
        name, keys, *rest = rng.numpy
        numpy = [name, keys.tolist(), *rest]
    text = json.dumps({"python": [version, list(internal), gauss], "numpy": numpy})
    found = {"host": np.frombuffer(text.encode(), np.uint8)}
    return found | {f"torch{i}": state for i, state in enumerate(rng.torch)}


def decode(arrays: Mapping[str, Array]) -> Rng:
    """What ``encode`` made.

    Raises:
        CorruptError: if it is something else.
    """
    try:
        told = json.loads(bytes(arrays["host"]))
        version, internal, gauss = told["python"]
        numpy = None
        if told["numpy"] is not None:
            name, keys, *rest = told["numpy"]
            numpy = (str(name), np.array(keys, np.uint32), *rest)
        torch = [np.array(arrays[f"torch{i}"], np.uint8) for i in range(len(arrays) - 1)]
        return Rng((version, tuple(internal), gauss), numpy, torch)
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise CorruptError(f"state of random numbers: expected one that kio wrote, found another ({e!r})") from e
