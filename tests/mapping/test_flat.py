"""flat: names without structure."""

from __future__ import annotations

import pytest

from kio.errors import MatchError
from kio.mapping import flat, keras_paths
from kio.mapping.plan import STRICT
from kio.mapping.selection import Selection
from kio.mapping.tree import Tree

from .make import Build, fake


def model() -> Tree:
    b = Build()
    layers = [b.node("dense", "a", [(2, 2)]), b.node("dense", "b", [(2, 2)])]
    tree = b.tree(b.node("sequential", "s", kind="Sequential", layers=layers))
    for leaf in tree.leaves:
        leaf.path = "s/" + leaf.path
    return tree


@pytest.mark.parametrize(
    "names",
    [
        ["s/a/v0", "s/b/v0"],
        ["a/v0", "b/v0"],
        ["a.v0", "b.v0"],
        ["layers/dense/vars/0", "layers/dense_1/vars/0"],
    ],
)
def test_spellings(names: list[str]) -> None:
    plan = flat.match(fake(names), model()).check(STRICT)
    assert [t.name for t, _ in plan.pairs] == names


def test_misfits() -> None:
    with pytest.raises(MatchError, match="missing s/b/v0"):
        flat.match(fake(["a/v0"]), model()).check()
    with pytest.raises(MatchError, match="expected shape"):
        flat.match(fake(["a/v0", "b/v0"], shape=(3, 3)), model()).check()


def test_include_and_rename() -> None:
    plan = flat.match(fake(["x/v0", "b/v0"]), model(), Selection(rename={"a": "x"})).check(STRICT)
    assert [t.name for t, _ in plan.pairs] == ["x/v0", "b/v0"]
    assert len(flat.match(fake(["a/v0"]), model(), Selection(include="s/a/*")).check(STRICT).pairs) == 1


def test_names_are_unique() -> None:
    tree = model()
    for leaf in tree.leaves:
        leaf.path = "same/kernel"
    assert sorted(flat.names(tree).values()) == sorted(keras_paths.names(tree).values())


def numbered(first: int, shapes: list[tuple[int, int]]) -> Tree:
    """Layers with the names that a process gives them that had made ``first`` others before."""
    b = Build()
    layers = [b.node("dense", f"dense_{first + i}" if first + i else "dense", [s]) for i, s in enumerate(shapes)]
    tree = b.tree(b.node("sequential", f"sequential_{first}", kind="Sequential", layers=layers))
    for leaf in tree.leaves:
        leaf.path = f"sequential_{first}/{leaf.path}"
    return tree


def test_automatic_numbers_prove_nothing() -> None:
    names = ["sequential/dense/v0", "sequential/dense_1/v0", "sequential/dense_2/v0"]
    plan = flat.match(fake(names), numbered(9, [(2, 2)] * 3)).check(STRICT)
    assert [t.name for t, _ in plan.pairs] == names


def test_automatic_numbers_are_no_excuse() -> None:
    with pytest.raises(MatchError):  # one layer more
        flat.match(fake(["sequential/dense/v0"]), numbered(9, [(2, 2)] * 2)).check()
    with pytest.raises(MatchError):  # another attribute
        flat.match(fake(["sequential/dense/v1"]), numbered(9, [(2, 2)])).check()
