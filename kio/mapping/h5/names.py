"""Names of legacy HDF5, as a writer gives them.

    layer_names      every layer of the model, in its order
    weight_names     the weights of one layer: their variables' paths, below its group

Stock Keras takes the names as they come, and fails where two are the same, or one is the
beginning of another.  Here they become distinct, the way TensorFlow does it: ``kernel_1``.

Spec: ``keras/src/legacy/saving/legacy_h5_format.py``, ``save_weights_to_hdf5_group``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kio.contents import parents
from kio.errors import MatchError
from kio.mapping.h5.stored import TOP
from kio.mapping.tree import Leaf, Stack


@dataclass(slots=True)
class Group:
    """One group of weights.

    Attributes:
        path: Its name.
        leaves: Variables, in the order of their names.
        names: Paths of their datasets below the group.
    """

    path: str
    leaves: list[Leaf]
    names: list[str]


def groups(stack: Stack) -> list[Group]:
    """A group for every layer, in the model's order, and last the one of the model's own weights."""
    if stack.weights is None:
        raise MatchError("model: expected one whose layers list their weights, found one to read into alone")
    called = distinct((node.name or "" for node, _ in stack.layers), reserved=[TOP])
    found = []
    for name, leaves in zip([*called, TOP], stack.weights(), strict=True):
        found.append(Group(name, leaves, distinct(leaf.path for leaf in leaves)))
    return found


def distinct(paths: Iterable[str], reserved: Sequence[str] = ()) -> list[str]:
    """The paths as names that HDF5 can hold side by side.

    Args:
        paths: Names joined by ``/``.
        reserved: Names that none of them may have.
    """
    wanted = ["/".join(part for part in path.split("/") if part not in ("", ".")) for path in paths]
    inner = parents(wanted) | set(reserved)
    # A name that is given to one must not be taken from another that has it by itself.
    own = set(wanted)
    taken: set[str] = set()
    # What was not free for an equal path will not be for the next.
    turns: dict[str, int] = {}
    found = []
    for path in wanted:
        turn = turns.get(path, 0)
        name = f"{path}_{turn}" if turn else path
        while name in taken or name in inner or (turn and name in own):
            turn += 1
            name = f"{path}_{turn}"
        turns[path] = turn
        taken.add(name)
        found.append(name)
    return found
