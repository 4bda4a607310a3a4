"""Layers of CuDNN's in files that go by paths: found without their cells, and only where all shapes say so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kio.errors import MatchError
from kio.mapping import keras_paths
from kio.mapping.plan import STRICT, Plan
from kio.mapping.selection import Selection
from kio.mapping.tree import Tree
from kio.raw.tensor import Tensor

from .make import Build, FakeCheckpoint
from .test_h5_convert import cudnn_step

RNG = np.random.default_rng(7)
UNITS = 2
SHAPES = {
    "lstm": [(UNITS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)],
    "gru": [(UNITS, 3 * UNITS), (UNITS, 3 * UNITS), (2, 3 * UNITS)],
}


def model(*kinds: str, wrapped: bool = False) -> Tree:
    b = Build()
    layers = []
    for i, kind in enumerate(kinds):
        cell = b.node(f"{kind}_cell", f"cell_{i}", SHAPES[kind])
        layer = b.node(kind, f"{kind}_{i}", cell=cell)
        layers.append(b.node("bidirectional", "both", forward_layer=layer) if wrapped else layer)
    return b.tree(b.node("sequential", "sequential", kind="Sequential", layers=layers))


def stored(*paths: str, gates: int = 4) -> FakeCheckpoint:
    shapes = [(UNITS, gates * UNITS), (UNITS, gates * UNITS), (2 * gates * UNITS,)]
    arrays = {
        f"{path}/vars/{i}": RNG.normal(size=shape).astype("float32") for path in paths for i, shape in enumerate(shapes)
    }
    return FakeCheckpoint(arrays)


def array(tensor: Tensor) -> Any:
    out = np.empty(tensor.shape, "float32")
    tensor.read_into(out)
    return out


def values(plan: Plan) -> dict[str, list[Any]]:
    """What each cell gets, in the order of its variables."""
    found: dict[str, list[Any]] = {}
    for each in sorted(plan.converted, key=lambda each: each.leaf.key):
        found.setdefault(each.leaf.node.name or "", []).append(each.make([array(each.tensors[0])]))
    return found


@pytest.mark.parametrize(
    ("kind", "gates", "wrapped", "paths"),
    [
        ("lstm", 4, False, ["layers/cu_dnnlstm", "layers/cu_dnnlstm_1"]),
        ("gru", 3, False, ["layers/cu_dnngru", "layers/cu_dnngru_1"]),
        ("lstm", 4, True, ["layers/bidirectional/forward_layer", "layers/bidirectional_1/forward_layer"]),
    ],
)
def test_both_of_two(kind: str, gates: int, wrapped: bool, paths: list[str]) -> None:
    tree, checkpoint = model(kind, kind, wrapped=wrapped), stored(*paths, gates=gates)
    plan = keras_paths.match(checkpoint, tree).check(STRICT)
    assert not plan.pairs
    found = values(plan)
    for i, path in enumerate(paths):
        kernel, recurrent, bias = (array(checkpoint[f"{path}/vars/{k}"]) for k in range(3))
        inputs, states = cudnn_step(kernel, recurrent, gates)
        np.testing.assert_array_equal(found[f"cell_{i}"][0], inputs)
        np.testing.assert_array_equal(found[f"cell_{i}"][1], states)
        both = bias.reshape(2, -1)
        np.testing.assert_array_equal(found[f"cell_{i}"][2], both if kind == "gru" else both[0] + both[1])


def test_where_the_user_says_it_is() -> None:
    tree = model("lstm")
    plan = keras_paths.match(stored("layers/mine"), tree, Selection(rename={"layers/lstm/cell": "layers/mine"})).check(
        STRICT
    )
    assert len(plan.converted) == 3


def test_a_part_of_it() -> None:
    plan = keras_paths.match(stored("layers/cu_dnnlstm"), model("lstm"), Selection(include="*/v0"))
    assert [each.tensors[0].name for each in plan.converted] == ["layers/cu_dnnlstm/vars/0"] and plan.fits


def test_another_layer_is_none() -> None:
    # As many variables, not their shapes: a bias for one kernel, the gates of the other kind.
    arrays = {"vars/0": (UNITS, 4 * UNITS), "vars/1": (UNITS, 4 * UNITS), "vars/2": (4 * UNITS,)}
    one = FakeCheckpoint({f"layers/cu_dnnlstm/{k}": np.zeros(shape, "float32") for k, shape in arrays.items()})
    for checkpoint in (one, stored("layers/cu_dnnlstm", gates=3)):
        with pytest.raises(MatchError, match="3 missing"):
            keras_paths.match(checkpoint, model("lstm")).check()


def test_a_gru_with_one_bias_has_no_place_for_two() -> None:
    tree = model("gru")
    bias = next(leaf for leaf in tree.leaves if leaf.key == "2")
    bias.shape = (3 * UNITS,)
    with pytest.raises(MatchError):
        keras_paths.match(stored("layers/cu_dnngru", gates=3), tree).check()


def test_beside_layers_of_the_other_kind_the_order_is_lost() -> None:
    """Two counters in the file, one in the model: which LSTM was CuDNN's nothing tells."""
    tree = model("lstm", "lstm")
    checkpoint = stored("layers/cu_dnnlstm")
    cell = {f"layers/lstm/cell/vars/{i}": np.zeros(shape, "float32") for i, shape in enumerate(SHAPES["lstm"])}
    mixed = FakeCheckpoint({**{name: array(checkpoint[name]) for name in checkpoint}, **cell})
    with pytest.raises(MatchError, match="lstm_1/cell"):
        keras_paths.match(mixed, tree).check()
