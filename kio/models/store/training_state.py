"""What a run of training needs besides weights and optimizer to go on as if never stopped.

    training_state/epoch       int64: epochs done
    training_state/batch       int64: batches done in the epoch after those
    training_state/seeds/0 …   states of the model's seed generators, and all else that is no weight
    training_state/metrics/0 … states of its metrics, in the order of ``metrics_variables``
    training_state/rng/…       other random numbers (``rng``) now
    training_state/epoch_rng/… and when the epoch began, which is when data are shuffled

They lie in the file of the weights, which is replaced as a whole: no epoch without its
weights.  Keras reads such a file as it reads any other, and ignores them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kio.checkpoint import Checkpoint
from kio.contents import Contents, Value
from kio.errors import CorruptError
from kio.models.memory import variables
from kio.models.memory.values import values
from kio.models.store import rng
from kio.models.store.rng import Rng

Array = npt.NDArray[Any]

GROUP = "training_state"


@dataclass(slots=True)
class TrainingState:
    """Where training stood.

    Attributes:
        epoch: Epochs done, and so the index of the one to go on with.
        batch: Batches done in that epoch.
        seeds, metrics: Values of ``seeds_of`` and ``metrics_of`` a model.
        rng, epoch_rng: Other random numbers, now and when the epoch began.
    """

    epoch: int
    batch: int
    seeds: list[Array] = field(default_factory=list)
    metrics: list[Array] = field(default_factory=list)
    rng: Rng | None = None
    epoch_rng: Rng | None = None


def seeds_of(model: Any) -> list[Any]:
    """All variables that are neither weights nor metrics: the states of seed generators."""
    others = {id(v) for v in (*model.weights, *model.metrics_variables)}
    return [v for v in model.variables if id(v) not in others]


def metrics_of(model: Any) -> list[Any]:
    """States of the metrics, of the loss's own mean, too."""
    return list(model.metrics_variables)


def add(contents: Contents, model: Any, epoch: int, batch: int, epoch_rng: Rng | None = None) -> None:
    """Let the contents of a save of the weights say where training stands.

    Args:
        contents: Of the model; extended.
        model: The live model.
        epoch, batch, epoch_rng: As in ``TrainingState``.
    """
    for name, number in (("epoch", epoch), ("batch", batch)):
        contents.tensors[f"{GROUP}/{name}"] = Value("int64", (), np.array(number, "<i8"), lasting=True)
    for kind, targets in (("seeds", seeds_of(model)), ("metrics", metrics_of(model))):
        targets = [v for v in targets if not variables.is_deferred(v)]
        for i, value in enumerate(values(targets)):
            contents.tensors[f"{GROUP}/{kind}/{i}"] = value
    for kind, states in (("rng", rng.capture()), ("epoch_rng", epoch_rng)):
        for name, array in (rng.encode(states) if states is not None else {}).items():
            contents.tensors[f"{GROUP}/{kind}/{name}"] = Value("uint8", array.shape, array, lasting=True)


def read(checkpoint: Checkpoint) -> TrainingState | None:
    """Where training stood, or None if the file does not say.

    Raises:
        CorruptError: if it says so in a form that nobody writes.
    """
    names = [name for name in checkpoint if name.startswith(f"{GROUP}/")]
    if not names:
        return None
    arrays = checkpoint.read(names, verify=True)
    numbers = []
    for name in ("epoch", "batch"):
        array = arrays.get(f"{GROUP}/{name}")
        if array is None or array.shape != () or array.dtype.kind != "i" or array < 0:
            found = "none" if array is None else f"{array.dtype} {array.shape}"
            raise CorruptError(
                f"{name} of training: expected a number that is not negative, found {found}",
                source=checkpoint.name,
                tensor=f"{GROUP}/{name}",
            )
        numbers.append(int(array))
    state = TrainingState(numbers[0], numbers[1], _list(arrays, "seeds"), _list(arrays, "metrics"))
    state.rng, state.epoch_rng = _rng(arrays, "rng"), _rng(arrays, "epoch_rng")
    return state


def _rng(arrays: dict[str, Array], kind: str) -> Rng | None:
    prefix = f"{GROUP}/{kind}/"
    found = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return rng.decode(found) if found else None


def _list(arrays: dict[str, Array], kind: str) -> list[Array]:
    found: list[Array] = []
    while (array := arrays.get(f"{GROUP}/{kind}/{len(found)}")) is not None:
        found.append(array)
    return found


def fits(targets: Iterable[Any], arrays: list[Array]) -> bool:
    """Whether these are the variables whose values were saved."""
    return [variables.shape_of(v) for v in targets] == [array.shape for array in arrays]


def restore(what: str, targets: Iterable[Any], arrays: list[Array]) -> None:
    """Give variables their values back; where they are other ones, say so and leave them."""
    targets = [v for v in targets if not variables.is_deferred(v)]
    if not fits(targets, arrays):
        warnings.warn(
            f"{what}: expected the {len(arrays)} that were saved, found {len(targets)} that do not fit them; they "
            "are left as they are, and training will not go on exactly as it was",
            stacklevel=3,
        )
        return
    for variable, array in zip(targets, arrays, strict=True):
        variable.assign(array)
