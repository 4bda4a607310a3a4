"""What a user asks for, and the door through which every layout is asked."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from kio import mapping
from kio.errors import MatchError, UnsupportedError
from kio.mapping.plan import KERAS, Plan
from kio.mapping.selection import EVERYTHING, Selection
from kio.mapping.tree import Tree
from tests.mapping.make import fake
from tests.mapping.test_flat import model


def stored(layout: str, names: tuple[str, ...] = ("layers/dense/vars/0", "layers/dense_1/vars/0")) -> Any:
    checkpoint = fake(names)
    checkpoint.layout = layout
    return checkpoint


def test_iterators_are_asked_once() -> None:
    found = Selection(iter(["a/*"]), iter(["b"]), skip=iter([1, 2]))
    assert (found.include, found.exclude, found.skip) == (("a/*",), ("b",), (1, 2))
    assert found.part and found.chooser() is not None and found.chooser() is not None
    assert Selection("a/*").include == "a/*"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.by_name = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "part"),
    [({}, False), ({"exclude": []}, False), ({"skip": [1]}, False), ({"rename": {"a": "b"}}, False)]
    + [(given, True) for given in ({"partial": True}, {"by_name": True}, {"include": "a"}, {"exclude": ["a"]})],
)
def test_what_makes_a_part_of_the_file_enough(given: dict[str, Any], part: bool) -> None:
    assert Selection(**given).part is part


@pytest.mark.parametrize("layout", [name for name in mapping.LAYOUTS if name != "h5_layers"])
def test_a_backend_that_means_nothing_is_refused(layout: str) -> None:
    with pytest.raises(MatchError, match="original_backend: expected a legacy HDF5 file, found one whose kernels"):
        mapping.match(stored(layout), model(), Selection(original_backend="theano"))
    assert mapping.match(stored(layout), model(), EVERYTHING).check(KERAS).pairs


def test_a_backend_and_a_layout_that_there_are_not() -> None:
    with pytest.raises(MatchError, match="expected one of theano, tensorflow, cntk, found mxnet"):
        mapping.match(stored("h5_layers"), model(), Selection(original_backend="mxnet"))
    with pytest.raises(UnsupportedError, match="layout: expected one of keras_paths, h5_layers, flat, found roman"):
        mapping.match(stored("roman"), model(), EVERYTHING)


@pytest.mark.parametrize("layout", ["keras_paths", "flat"])
def test_what_is_skipped_is_told_whatever_the_layout(layout: str) -> None:
    tree = model()
    tree.nodes[2].skip = True
    asked = [(each.what, each.why) for each in mapping.match(stored(layout), tree, EVERYTHING).skipped if each.asked]
    assert asked == [(tree.nodes[2].name, "one of objects_to_skip")]


def test_a_layout_asks_the_tree_for_what_it_needs() -> None:
    """Optimizers' order for Keras 3's own files; what is skipped, in its place, where order alone tells."""

    def seen(layout: str, version: str | None = None, skip: bool = False) -> list[Any]:
        tree, asked = model(), []
        full = model()
        tree.nodes[1].skip = skip

        def order_of(version: tuple[int, ...] | None) -> bool:
            asked.append(version)
            return True

        def unskipped() -> Tree:
            asked.append("unskipped")
            full.apart = frozenset([1])
            return full

        tree.order_of, tree.unskipped = order_of, unskipped
        checkpoint = stored(layout)
        checkpoint.metadata = {"keras_version": version} if version else {}
        plan: Plan = mapping.match(checkpoint, tree, EVERYTHING)
        assert any("order changed in Keras 3.10" in note for note in plan.notes) == (layout == "keras_paths")
        return asked

    assert seen("keras_paths") == [None]
    assert seen("keras_paths", "3.9.2") == [(3, 9, 2)]
    assert seen("keras_paths", "2.15.0", skip=True) == seen("keras_paths", "3") == [None]
    assert seen("flat") == [] and seen("flat", skip=True) == ["unskipped"]
