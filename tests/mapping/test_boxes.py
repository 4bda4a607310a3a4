"""A plan says which part of each variable a process wants, and that is all that is read."""

from __future__ import annotations

import io
import json
import pickle
from typing import Any

import numpy as np
import pytest

import kio
from kio.mapping import keras_paths
from kio.mapping.plan import STRICT, Plan
from kio.mapping.tree import Leaf
from kio.raw import transfer
from tests.raw.far import Far

from .make import Build

ARRAYS = {
    "layers/dense/vars/0": np.arange(4000, dtype="f4").reshape(40, 100),
    "layers/dense/vars/1": np.arange(100, dtype="f4"),
    "layers/dense_1/vars/0": np.arange(100, 600, dtype="f4").reshape(100, 5),
    "layers/dense_1/vars/1": np.arange(5, dtype="f4"),
}


def planned() -> tuple[Plan, list[Leaf], Far]:
    """A plan of two Dense layers over a file that counts what is read of it."""
    b = Build()
    layers = [b.node("dense", name, shapes) for name, shapes in (("a", [(40, 100), (100,)]), ("b", [(100, 5), (5,)]))]
    tree = b.tree(b.node("sequential", "m", kind="Sequential", layers=layers))
    image = io.BytesIO()
    kio.write(image, ARRAYS, format="weights.h5")
    file = Far(image.getvalue())
    plan = keras_paths.match(kio.open(file), tree).check(STRICT)
    return plan, [leaf for _, leaf in plan.pairs], file


def read(plan: Plan) -> list[Any]:
    tensors, boxes = plan.wanted()
    return transfer.read(tensors, boxes=boxes)


def test_without_boxes_all_is_wanted() -> None:
    plan, leaves, _ = planned()
    assert plan.wanted() == ([tensor for tensor, _ in plan.pairs], None)
    assert plan.nbytes == sum(array.nbytes for array in ARRAYS.values())
    for array, leaf in zip(read(plan), leaves, strict=True):
        assert array.shape == leaf.shape


def test_boxes_are_read_in_one_pass() -> None:
    plan, leaves, file = planned()
    kernel = next(leaf for leaf in leaves if leaf.shape == (40, 100))
    bias = next(leaf for leaf in leaves if leaf.shape == (5,))
    plan.boxes = {kernel: ((10, 12), (0, 100)), bias: ((1, 4),)}
    before = len(file.requests)
    found = dict(zip(leaves, read(plan), strict=True))
    assert len(file.requests) - before == 1
    assert np.array_equal(found[kernel], ARRAYS["layers/dense/vars/0"][10:12])
    assert np.array_equal(found[bias], [1, 2, 3])
    (whole,) = [leaf for leaf in leaves if leaf.shape == (100,)]
    assert np.array_equal(found[whole], ARRAYS["layers/dense/vars/1"])
    assert plan.nbytes == 2 * 100 * 4 + 3 * 4 + 100 * 4 + 500 * 4


def test_they_are_in_the_plan_as_data() -> None:
    plan, leaves, _ = planned()
    kernel = next(leaf for leaf in leaves if leaf.shape == (40, 100))
    plan.boxes = {kernel: ((10, 12), (0, 100))}
    rows = {row["tensor"]: row for row in json.loads(json.dumps(plan.as_dict()))["pairs"]}
    assert rows["layers/dense/vars/0"]["box"] == [[10, 12], [0, 100]]
    assert rows["layers/dense/vars/0"]["nbytes"] == 800
    assert "box" not in rows["layers/dense/vars/1"]
    for travelled in (pickle.loads(pickle.dumps(plan)), plan.release()):
        ((leaf, box),) = travelled.boxes.items()
        assert leaf in [each for _, each in travelled.pairs] and box == ((10, 12), (0, 100))
        assert travelled.nbytes == 800 + 400 + 2000 + 20


@pytest.mark.parametrize("box", [((0, 41), (0, 100)), ((0, 1),), ((-1, 1), (0, 1)), ((2, 1), (0, 1))], ids=str)
def test_a_box_outside_its_variable_is_refused(box: Any) -> None:
    plan, leaves, _ = planned()
    plan.boxes = {next(leaf for leaf in leaves if leaf.shape == (40, 100)): box}
    with pytest.raises(ValueError, match=r"box of .*: expected it inside \[40, 100\]"):
        plan.wanted()


def test_a_checkpoint_carries_what_its_format_knows_beyond_names() -> None:
    from kio.checkpoint import Checkpoint

    graph = object()
    assert Checkpoint({}, format="x", layout="flat", name="x", structure=graph).structure is graph
    for data, suffix in ((ARRAYS, "weights.h5"), ({"a": np.zeros(3)}, "npz"), ({"a": np.zeros(3)}, "safetensors")):
        image = io.BytesIO()
        kio.write(image, data, format=suffix)
        with kio.open(image.getvalue()) as found:
            assert found.structure is None
