"""The keys of every writer era, on trees made by hand; expectations worked out from Keras's sources."""

from __future__ import annotations

from kio.mapping import keras_paths
from kio.mapping.keras3.rules import RULES, Rule
from kio.mapping.tree import Tree

from .make import Build


def rule(start: str) -> Rule:
    return next(r for r in RULES if r.name.startswith(start))


def keys(tree: Tree, name: str) -> dict[str, str]:
    """Object name → path."""
    return {
        leaf.node.name or "": key.rpartition("vars/")[0].rstrip("/")
        for leaf, key in keras_paths.names(tree, rule(name)).items()
    }


def functional(**extra: str) -> Tree:
    b = Build()
    d = [b.node("dense", f"d{i}", [(2, 2)]) for i in range(3)]
    drop = b.node("dropout", "drop")
    layers = [b.node("input_layer", "in"), d[0], drop, d[1], d[2]]
    attributes = {name: d[int(which[1:])] for name, which in extra.items()}
    return b.tree(b.node("functional", "m", kind="Functional", layers=layers, **attributes))


def test_layers_are_named_by_class_and_counted() -> None:
    expected = {"d0": "layers/dense", "d1": "layers/dense_1", "d2": "layers/dense_2"}
    for era in ("Keras 3.15", "Keras 3.6", "Keras 3.0.3", "Keras 3.0.2", "Keras 3.0.0", "tf.keras 2.15"):
        assert keys(functional(), era) == expected


def test_2_14_hangs_layers_under_the_dependencies() -> None:
    d = "_layer_checkpoint_dependencies/dense"
    assert keys(functional(), "tf.keras 2.14") == {"d0": d, "d1": d + "_1", "d2": d + "_2"}


def test_2_12_counts_layers_with_weights_twice() -> None:
    d = "_layer_checkpoint_dependencies/dense"
    assert keys(functional(), "tf.keras 2.12") == {"d0": d, "d1": d + "_2", "d2": d + "_4"}


def test_attributes_of_a_functional_model_come_after_its_layers_since_3_0_3() -> None:
    tree = functional(aux="d1", _zz="d2")
    assert keys(tree, "Keras 3.15")["d1"] == "layers/dense_1"
    assert keys(tree, "Keras 3.0.3")["d1"] == "layers/dense_1"
    assert keys(tree, "Keras 3.0.2") == {"d0": "layers/dense", "d1": "aux", "d2": "layers/dense_2"}
    assert keys(tree, "Keras 3.0.0") == {"d0": "layers/dense", "d1": "aux", "d2": "_zz"}
    # Backwards: "layers" is met before "_zz" and "aux".
    assert keys(tree, "tf.keras 2.15")["d2"] == "layers/dense_2"


def subclassed() -> Tree:
    b = Build()
    d = {name: b.node("dense", name, [(2, 2)]) for name in ("_p", "a", "zs", "Up")}
    layers = [d["zs"], d["a"], d["_p"], d["Up"]]
    return b.tree(b.node("net", "m", kind="Layer", layers=layers, **d))


def test_a_subclassed_model_is_walked_by_attribute() -> None:
    tree = subclassed()
    modern = {"Up": "Up", "a": "a", "zs": "layers/dense", "_p": "layers/dense_2"}
    assert keys(tree, "Keras 3.15") == keys(tree, "Keras 3.0.2") == modern
    # ASCII: upper case, underscore, lower case.
    assert keys(tree, "Keras 3.0.0") == {"Up": "Up", "_p": "_p", "a": "a", "zs": "layers/dense"}
    # Backwards, and members met before do not count.
    assert keys(tree, "tf.keras 2.15") == {
        "zs": "zs",
        "a": "layers/dense",
        "_p": "layers/dense_1",
        "Up": "layers/dense_2",
    }


def test_nested_containers_are_walked_since_3_15() -> None:
    b = Build()
    d = [b.node("dense", f"d{i}", [(2, 2)]) for i in range(4)]
    tree = b.tree(b.node("block", "m", parts=[d[0], (d[1], d[2]), [], {"k": d[3]}]))
    assert keys(tree, "Keras 3.15") == {
        "d0": "parts/dense",
        "d1": "parts/container/dense",
        "d2": "parts/container/dense_1",
        "d3": "parts/container_2/dense",
    }
    assert keys(tree, "Keras 3.6") == {"d0": "parts/dense"}


def test_a_container_in_itself_ends() -> None:
    b = Build()
    d = b.node("dense", "d", [(2, 2)])
    root = b.node("block", "m", parts=[d])
    container = root.entries[0][1]
    container.items.append(container)  # type: ignore[union-attr]
    assert keys(b.tree(root), "Keras 3.15") == {"d": "parts/dense"}


def test_sets_are_left_since_3_15() -> None:
    b = Build()
    tree = b.tree(b.node("block", "m", parts={b.node("dense", "d", [(2, 2)])}))
    assert keys(tree, "Keras 3.15") == {}
    assert keys(tree, "Keras 3.6") == {"d": "parts/dense"}


def test_an_object_is_written_under_its_first_path_only() -> None:
    b = Build()
    shared = b.node("dense", "s", [(2, 2)])
    one, two = b.node("block", "one", a=shared), b.node("block", "two", a=shared)
    assert keys(b.tree(b.node("net", "m", one=one, two=two)), "Keras 3.15") == {"s": "one/a"}


def test_a_cycle_of_objects_ends() -> None:
    b = Build()
    child = b.node("dense", "c", [(2, 2)])
    root = b.node("net", "m", [(3,)], child=child)
    child.entries.append(("parent", root))
    assert keys(b.tree(root), "Keras 3.15") == {"m": "", "c": "child"}


def test_skipped_objects_keep_their_place() -> None:
    tree = functional()
    next(n for n in tree.nodes if n.name == "d0").skip = True
    assert keys(tree, "Keras 3.15") == {"d1": "layers/dense_1", "d2": "layers/dense_2"}


def test_depth_is_not_bounded_by_the_stack() -> None:
    b = Build()
    node = b.node("dense", "last", [(2, 2)])
    for i in range(5000):
        node = b.node("block", f"b{i}", next=node)
    assert keys(b.tree(node), "Keras 3.15")["last"].count("/") == 4999
