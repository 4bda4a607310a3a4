"""match: which file fits which tree, and what is said where none does."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kio.errors import MatchError
from kio.mapping import keras_paths
from kio.mapping.keras3.rules import RULES
from kio.mapping.plan import KERAS, SKIP_MISMATCH, STRICT, Plan
from kio.mapping.selection import Selection
from kio.mapping.tree import Container, Leaf, Tree

from .make import Build, FakeCheckpoint, Variable, fake

NEWEST = RULES[0]


def sequential(*names: str | None, shape: tuple[int, ...] = (2, 2)) -> Tree:
    """Dense layers in a row; None stands for an automatic name."""
    b = Build()
    layers = [b.node("dense", n or f"dense_{i + 7}", [shape]) for i, n in enumerate(names)]
    return b.tree(b.node("sequential", "sequential", kind="Sequential", layers=layers))


def stored_for(tree: Tree, rule: Any = NEWEST, named: bool = True, **kwargs: Any) -> FakeCheckpoint:
    """What a writer of this era makes of a tree."""
    names = keras_paths.names(tree, rule)
    object_names = {}
    if named:
        for leaf, key in names.items():
            object_names[key.rpartition("/")[0]] = leaf.node.name or ""
    arrays = {key: np.full(leaf.shape, i, np.float32) for i, (leaf, key) in enumerate(names.items())}
    return FakeCheckpoint(arrays, object_names, **kwargs)


def went(plan: Plan) -> dict[str, str]:
    return {leaf.node.name or "": tensor.name for tensor, leaf in plan.pairs}


# ------------------------------------------------------------------------------ what fits


@pytest.mark.parametrize("era", [r for r in RULES if r.keys == "index"], ids=lambda r: r.name)
def test_every_era_reads_back_what_it_wrote(era: Any) -> None:
    b = Build()
    d = {name: b.node("dense", name, [(2, 2), (2,)]) for name in ("_p", "a", "zs", "Up", "main", "enc")}
    inner = b.node("functional", "inner", kind="Functional", layers=[d["main"], d["zs"]])
    layers = [d["zs"], inner, d["a"], d["_p"], d["Up"], d["enc"]]
    tree = b.tree(b.node("net", "m", [(5,)], layers=layers, inner=inner, **d))
    checkpoint = stored_for(tree, era, named=era.named)
    plan = keras_paths.match(checkpoint, tree).check(STRICT)
    written = {id(leaf): key for leaf, key in keras_paths.names(tree, era).items()}
    assert {id(leaf): t.name for t, leaf in plan.pairs} == written


def test_numbers_are_sorted_as_numbers() -> None:
    b = Build()
    node = b.node("bag", "bag", [(i + 1,) for i in range(12)])
    tree = b.tree(node)
    plan = keras_paths.match(stored_for(tree), tree).check(STRICT)
    assert [t.name for t, _ in plan.pairs] == [f"vars/{i}" for i in range(12)]


def test_variable_names_as_keys() -> None:
    tree = sequential("a", "b")
    rule = next(r for r in RULES if r.keys == "name")
    plan = keras_paths.match(stored_for(tree, rule), tree).check(STRICT)
    assert went(plan) == {"a": "layers/dense/vars/v0", "b": "layers/dense_1/vars/v0"}


def test_an_object_is_tried_under_its_other_paths() -> None:
    """Lists in lists of a Model before 3.15, and attributes that later Kerases added."""
    b = Build()
    d = [b.node("dense", f"d{i}", [(2, 2)]) for i in range(2)]
    tree = b.tree(b.node("net", "m", bl=[(d[0], d[1])], layers=[d[0], d[1]]))
    checkpoint = fake(["layers/dense/vars/0", "layers/dense_1/vars/0"])
    plan = keras_paths.match(checkpoint, tree).check(STRICT)
    assert went(plan) == {"d0": "layers/dense/vars/0", "d1": "layers/dense_1/vars/0"}


def test_parts_of_an_object_may_be_under_different_paths() -> None:
    b = Build()
    x, y = b.node("dense", "x", [(2, 2)]), b.node("dense", "y", [(2, 2)])
    block = b.node("block", "block", [(3,)], x=x, y=y)
    tree = b.tree(b.node("net", "m", a=block, z=block))
    checkpoint = FakeCheckpoint(
        {
            "a/vars/0": np.zeros(3, "f4"),
            "a/x/vars/0": np.zeros((2, 2), "f4"),
            "z/y/vars/0": np.zeros((2, 2), "f4"),
        }
    )
    assert went(keras_paths.match(checkpoint, tree).check(STRICT))["y"] == "z/y/vars/0"


def in_a_set(*parts: tuple[str, tuple[int, ...]]) -> Tree:
    b = Build()
    return b.tree(b.node("net", "m", bag={b.node("dense", name, [shape]) for name, shape in parts}))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_members_of_a_set_are_told_apart_by_shape_or_name(order: tuple[int, ...]) -> None:
    shapes = [(2, 2), (3, 3), (4, 4)]
    keys = ["bag/dense/vars/0", "bag/dense_1/vars/0", "bag/dense_2/vars/0"]
    checkpoint = FakeCheckpoint({k: np.zeros(shapes[i], "f4") for k, i in zip(keys, order, strict=True)})
    tree = in_a_set(*((f"d{i}", s) for i, s in enumerate(shapes)))
    plan = keras_paths.match(checkpoint, tree).check(STRICT)
    assert went(plan) == {f"d{i}": k for k, i in zip(keys, order, strict=True)}

    names = {k.removesuffix("/0"): f"d{i}" for k, i in zip(keys, order, strict=True)}
    tree = in_a_set(*((f"d{i}", (2, 2)) for i in range(3)))
    plan = keras_paths.match(fake(keys, names_of=names), tree).check(STRICT)
    assert went(plan) == {f"d{i}": k for k, i in zip(keys, order, strict=True)}
    # Without names nothing tells them apart: no guess.
    with pytest.raises(MatchError, match="3 missing"):
        keras_paths.match(fake(keys), tree).check(KERAS)


def test_the_version_decides_where_readings_differ() -> None:
    """tf.keras counted members of a container differently."""
    b = Build()
    d = {name: b.node("dense", name, [(2, 2)]) for name in ("a", "b", "zs")}
    tree = b.tree(b.node("net", "m", layers=[d["zs"], d["a"], d["b"]], zs=d["zs"]))
    old = next(r for r in RULES if r.name.startswith("tf.keras 2.15"))
    checkpoint = stored_for(tree, old, named=False)
    assert set(checkpoint) == {"zs/vars/0", "layers/dense/vars/0", "layers/dense_1/vars/0"}
    # Keras 3 would look for zs at layers/dense, a at layers/dense_1 and b at layers/dense_2.
    expected = {"zs": "zs/vars/0", "a": "layers/dense/vars/0", "b": "layers/dense_1/vars/0"}
    assert went(keras_paths.match(checkpoint, tree).check(STRICT)) == expected
    checkpoint.metadata["keras_version"] = "2.15.0"
    assert went(keras_paths.match(checkpoint, tree).check(STRICT)) == expected


@pytest.mark.parametrize("part", range(10))
def test_every_era_is_recognised_by_its_keys_alone(part: int) -> None:
    """Layers of one class and shape in random places; no version, no names."""
    for seed in range(part * 300, part * 300 + 300):
        r = random.Random(seed)
        b = Build()
        d = [b.node("dense", f"x{i}", [(2, 2)]) for i in range(r.randint(2, 5))]
        attributes: dict[str, Any] = {"layers": r.sample(d, len(d)) if r.random() < 0.8 else d[:2]}
        for name in r.sample(["a", "b", "_p", "zz", "zy", "Up", "k"], r.randint(1, 4)):
            several = [r.choice(d) for _ in range(r.randint(1, 4))]
            attributes[name] = r.choice(d) if r.random() < 0.4 else several
        tree = b.tree(b.node("net", "m", **attributes))
        names = keras_paths.names(tree, r.choice([rule for rule in RULES if rule.keys == "index"]))
        if len(names) == len(d):
            plan = keras_paths.match(fake(names.values()), tree).check(STRICT)
            assert {leaf: t.name for t, leaf in plan.pairs} == names


def test_two_readings_that_fit_are_refused_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tree is known for which two real rules fit; so here is a writer that counted from the end."""
    backwards = replace(NEWEST, name="Backwards 1.0", since=(1,), until=(1, 9))

    def entries(rule: Any, node: Any) -> Any:
        if rule is not backwards:
            return node.entries
        return [(name, Container("list", child.items[::-1])) for name, child in node.entries]

    monkeypatch.setattr(keras_paths, "RULES", (NEWEST, backwards))
    monkeypatch.setattr(type(backwards), "entries", entries)
    checkpoint = fake(["layers/dense/vars/0", "layers/dense_1/vars/0"])
    with pytest.raises(MatchError, match=r"a: layers/dense as Keras 3.15 wrote it, layers/dense_1 as Backwards"):
        keras_paths.match(checkpoint, sequential("a", "b")).check(KERAS)
    checkpoint.metadata["keras_version"] = "1.0"
    plan = keras_paths.match(checkpoint, sequential("a", "b")).check(KERAS)
    assert went(plan) == {"a": "layers/dense_1/vars/0", "b": "layers/dense/vars/0"}


def test_shared_variables_are_read_once_from_the_later_place() -> None:
    b = Build()
    inner, outer = (
        b.node("adam", "adam", [(2,), (3,)], kind="Optimizer"),
        b.node("lso", "lso", kind="Optimizer"),
    )
    for leaf in inner.leaves:
        outer.leaves.append(Leaf(leaf.key, leaf.path, leaf.name, leaf.shape, leaf.dtype, leaf.handle, outer))
    outer.expects = 2
    outer.entries = [("inner_optimizer", inner)]
    tree = b.tree(b.node("net", "m", optimizer=outer))
    checkpoint = stored_for(tree)
    plan = keras_paths.match(checkpoint, tree).check(STRICT)
    assert [t.name for t, _ in plan.pairs] == [f"optimizer/inner_optimizer/vars/{i}" for i in range(2)]
    assert not plan.unexpected
    assert "stored again" in plan.notes[0]


def test_objects_that_the_model_lacks_are_listed() -> None:
    tree = sequential("a")
    checkpoint = fake(["layers/dense/vars/0", "optimizer/vars/0", "optimizer/vars/1"])
    plan = keras_paths.match(checkpoint, tree).check(KERAS)
    assert plan.unexpected == ["optimizer/vars/0", "optimizer/vars/1"]
    with pytest.raises(MatchError, match="2 unexpected"):
        plan.check(STRICT)


def test_metrics_of_tf_keras_are_left() -> None:
    tree = sequential("a")
    plan = keras_paths.match(fake(["layers/dense/vars/0", "metrics/mean/vars/0"]), tree).check(STRICT)
    assert "metrics" in plan.notes[0]


def test_backslashes_of_windows() -> None:
    tree = sequential("a")
    checkpoint = fake(["layers\\dense/vars/0"])
    checkpoint.metadata["separator"] = "\\"
    assert went(keras_paths.match(checkpoint, tree).check(STRICT)) == {"a": "layers\\dense/vars/0"}


# --------------------------------------------------------------------------- what does not


def test_missing_variables_name_the_nearest_candidate() -> None:
    tree = sequential("a", "b")
    checkpoint = fake(["layers/dense/vars/0", "layers/dens_1/vars/0"])
    plan = keras_paths.match(checkpoint, tree)
    with pytest.raises(MatchError, match=r"missing b/v0 .*layers/dense_1/vars/0; nearest is layers/dens_1/vars/0"):
        plan.check(KERAS)
    try:
        plan.check(KERAS)
    except MatchError as e:
        assert str(e.plan) == str(plan) and e.plan.as_dict() == plan.as_dict()
    assert [t.name for t, _ in plan.check(SKIP_MISMATCH).pairs] == ["layers/dense/vars/0"]


def test_shapes_are_said() -> None:
    tree = sequential("a", shape=(2, 3))
    with pytest.raises(MatchError, match=r"expected shape \[2, 3\], found \[2, 2\]"):
        keras_paths.match(fake(["layers/dense/vars/0"]), tree).check(KERAS)


def test_an_object_is_filled_whole_or_not_at_all() -> None:
    """keras.md 2.3 B2: the first variable fits, the second does not."""
    b = Build()
    tree = b.tree(b.node("sequential", "s", kind="Sequential", layers=[b.node("dense", "d", [(2, 2), (3,)])]))
    checkpoint = fake(["layers/dense/vars/0", "layers/dense/vars/1"])
    plan = keras_paths.match(checkpoint, tree)
    assert not plan.pairs
    assert not plan.check(SKIP_MISMATCH).pairs
    assert len(plan.mismatched) == 2


def test_a_count_that_differs_is_a_misfit() -> None:
    tree = sequential("a")
    plan = keras_paths.match(fake(["layers/dense/vars/0", "layers/dense/vars/1"]), tree)
    assert not plan.pairs
    with pytest.raises(MatchError, match="expected 1 stored variables, found 2"):
        plan.check(KERAS)


def test_an_unbuilt_layer_with_stored_variables_is_a_misfit() -> None:
    tree = sequential("a")
    node = next(n for n in tree.nodes if n.name == "a")
    node.leaves, node.expects, node.built = [], 0, False
    with pytest.raises(MatchError, match="never built"):
        keras_paths.match(fake(["layers/dense/vars/0"]), tree).check(KERAS)


def with_optimizer(*shapes: tuple[int, ...], name: str = "adam") -> Tree:
    b = Build()
    layer = b.node("dense", "d", [(2, 2)])
    optimizer = b.node(name, name, shapes, kind="Optimizer")
    optimizer.rivals = frozenset({"rmsprop"})
    return b.tree(b.node("net", "m", layers=[layer], optimizer=optimizer))


@pytest.mark.parametrize(
    "stored, why",
    [
        (0, "expected 2 stored variables, found 0"),
        (1, "expected 2 stored variables, found 1"),
        (3, "expected 2 stored variables, found 3"),
    ],
)
def test_an_optimizer_of_another_length_is_skipped(stored: int, why: str) -> None:
    names = ["layers/dense/vars/0", *(f"optimizer/vars/{i}" for i in range(stored))]
    plan = keras_paths.match(fake(names), with_optimizer((2, 2), (2, 2))).check(KERAS)
    assert went(plan) == {"d": "layers/dense/vars/0"}
    assert why in plan.skipped[0].why
    assert not plan.unexpected
    with pytest.raises(MatchError, match="skipped"):
        plan.check(STRICT)


def test_an_optimizer_of_other_shapes_is_skipped_whole() -> None:
    names = ["layers/dense/vars/0", "optimizer/vars/0", "optimizer/vars/1"]
    plan = keras_paths.match(fake(names), with_optimizer((2, 2), (3,))).check(KERAS)
    assert went(plan) == {"d": "layers/dense/vars/0"}
    assert plan.skipped


def test_an_optimizer_of_another_kind_is_skipped() -> None:
    names = ["layers/dense/vars/0", "optimizer/vars/0"]
    checkpoint = fake(names, names_of={"optimizer/vars": "rmsprop", "layers/dense/vars": "d"})
    plan = keras_paths.match(checkpoint, with_optimizer((2, 2))).check(KERAS)
    assert "rmsprop" in plan.skipped[0].why
    checkpoint.names_of = {"optimizer/vars": "adamw"}
    assert not keras_paths.match(checkpoint, with_optimizer((2, 2))).check(KERAS).skipped


# ------------------------------------------------------------------------ names as evidence


def test_swapped_layers_of_one_shape_are_refused() -> None:
    """keras.md 2.3 A2."""
    checkpoint = stored_for(sequential("enc", "dec"))
    plan = keras_paths.match(checkpoint, sequential("dec", "enc"))
    with pytest.raises(MatchError, match=r"'enc', which by its place is 'dec' and by its name 'enc'"):
        plan.check(KERAS)
    assert not plan.check(SKIP_MISMATCH).pairs


def test_a_layer_in_front_shifts_nothing_under_skip_mismatch() -> None:
    """keras.md 2.3 A."""
    checkpoint = stored_for(sequential("enc", "dec"))
    plan = keras_paths.match(checkpoint, sequential("new", "enc", "dec"))
    with pytest.raises(MatchError):
        plan.check(KERAS)
    assert not plan.check(SKIP_MISMATCH).pairs


def test_a_layer_at_the_end_leaves_the_others_alone() -> None:
    checkpoint = stored_for(sequential("enc", "dec"))
    plan = keras_paths.match(checkpoint, sequential("enc", "dec", "new")).check(SKIP_MISMATCH)
    assert went(plan) == {"enc": "layers/dense/vars/0", "dec": "layers/dense_1/vars/0"}


def test_renamed_layers_load_by_place() -> None:
    checkpoint = stored_for(sequential("one", "two"))
    assert went(keras_paths.match(checkpoint, sequential("eins", "zwei")).check(STRICT)) == {
        "eins": "layers/dense/vars/0",
        "zwei": "layers/dense_1/vars/0",
    }


def test_automatic_names_prove_nothing() -> None:
    checkpoint = stored_for(sequential("dense_1", "dense"))
    assert keras_paths.match(checkpoint, sequential("dense", "dense_1")).check(STRICT).pairs


def test_names_made_from_automatic_names_prove_nothing() -> None:
    def blocks(*names: str) -> Tree:
        b = Build()
        made = [b.node("res_block", n, conv=b.node("conv2d", f"{n}_conv", [(2, 2)])) for n in names]
        wrapped = [
            b.node(
                "bidirectional",
                f"bidirectional{i or ''}",
                forward_layer=b.node("lstm", f"forward_{n}", [(2, 2)]),
            )
            for i, n in enumerate(("lstm", "lstm_1") if names[0] == "res_block" else ("lstm_1", "lstm_2"))
        ]
        return b.tree(b.node("net", "m", layers=[*made, *wrapped]))

    checkpoint = stored_for(blocks("res_block_1", "res_block_2"))
    assert keras_paths.match(checkpoint, blocks("res_block", "res_block_1")).check(STRICT).pairs


def test_names_that_repeat_in_every_block_prove_nothing() -> None:
    def blocks(*inner: str) -> Tree:
        b = Build()
        return b.tree(
            b.node("net", "m", layers=[b.node("block", None, part=b.node("dense", n, [(2, 2)])) for n in inner])
        )

    checkpoint = stored_for(blocks("proj", "proj"))
    assert keras_paths.match(checkpoint, blocks("proj", "out")).check(STRICT).pairs


def test_swapped_nested_models_are_refused_with_all_their_layers() -> None:
    def nested(*names: str) -> Tree:
        b = Build()
        models = [
            b.node("functional", n, kind="Functional", layers=[b.node("dense", f"dense_{i}", [(2, 2)])])
            for i, n in enumerate(names)
        ]
        return b.tree(b.node("functional", "m", kind="Functional", layers=models))

    tree = nested("q", "k")
    checkpoint = stored_for(tree)
    checkpoint.names_of |= {"layers/functional/vars": "q", "layers/functional_1/vars": "k"}
    assert len(keras_paths.match(checkpoint, tree).check(STRICT).pairs) == 2
    with pytest.raises(MatchError, match="'q'"):
        keras_paths.match(checkpoint, nested("k", "q")).check(KERAS)


def test_rename_overrules_names() -> None:
    checkpoint = stored_for(sequential("enc", "dec"))
    rename = {"layers/dense": "layers/dense_1", "layers/dense_1": "layers/dense"}
    plan = keras_paths.match(checkpoint, sequential("dec", "enc"), Selection(rename=rename)).check(STRICT)
    assert went(plan) == {"dec": "layers/dense_1/vars/0", "enc": "layers/dense/vars/0"}


# ------------------------------------------------------------------- include, exclude, rename


def test_skipped_objects_are_not_unexpected() -> None:
    tree = sequential("a", "b")
    checkpoint = stored_for(tree)
    next(n for n in tree.nodes if n.name == "a").skip = True
    assert went(keras_paths.match(checkpoint, tree).check(STRICT)) == {"b": "layers/dense_1/vars/0"}


def test_include_and_exclude() -> None:
    checkpoint = stored_for(sequential("enc", "dec", "head"))
    tree = sequential("enc", "dec", "other", shape=(2, 2))
    assert went(keras_paths.match(checkpoint, tree, Selection(include="enc/*")).check(STRICT)) == {
        "enc": "layers/dense/vars/0"
    }
    assert set(went(keras_paths.match(checkpoint, tree, Selection(exclude=["other"])).check(STRICT))) == {"enc", "dec"}
    assert set(went(keras_paths.match(checkpoint, tree, Selection(exclude="layers/dense_1")).check(STRICT))) == {
        "enc",
        "other",
    }


def test_excluding_what_does_not_fit() -> None:
    checkpoint = stored_for(sequential("enc", "head"))
    b = Build()
    layers = [b.node("dense", "enc", [(2, 2)]), b.node("dense", "head", [(2, 9)])]
    tree = b.tree(b.node("sequential", "s", kind="Sequential", layers=layers))
    assert set(went(keras_paths.match(checkpoint, tree, Selection(exclude="head/*")).check(STRICT))) == {"enc"}


def test_rename_by_path_glob_and_function() -> None:
    tree = sequential("a", "b")
    checkpoint = fake(["body/dense/vars/0", "body/dense_1/vars/0"])
    for rename in ({"layers": "body"}, {"layers/*": "body/*"}, lambda key: key.replace("layers", "body")):
        assert len(keras_paths.match(checkpoint, tree, Selection(rename=rename)).check(STRICT).pairs) == 2


def test_by_name_finds_objects_wherever_they_hang() -> None:
    checkpoint = stored_for(sequential("enc", "dec"))
    plan = keras_paths.match(checkpoint, sequential("new", "enc", "dec"), Selection(by_name=True)).check(KERAS)
    assert went(plan) == {"enc": "layers/dense/vars/0", "dec": "layers/dense_1/vars/0"}
    assert [s.what for s in plan.skipped] == ["new"]
    with pytest.raises(MatchError, match="expected shape"):
        keras_paths.match(checkpoint, sequential("enc", shape=(9, 9)), Selection(by_name=True)).check(KERAS)
    with pytest.raises(MatchError, match="stores names"):
        keras_paths.match(fake(["layers/dense/vars/0"]), sequential("enc"), Selection(by_name=True))


def test_by_name_tells_namesakes_in_different_models_apart() -> None:
    def nested(*order: str) -> Tree:
        b = Build()
        models = [b.node("functional", n, kind="Functional", layers=[b.node("dense", "d", [(2, 2)])]) for n in order]
        return b.tree(b.node("functional", "m", kind="Functional", layers=models))

    tree = nested("q", "k")
    checkpoint = stored_for(tree)
    checkpoint.names_of |= {"layers/functional/vars": "q", "layers/functional_1/vars": "k"}
    other = nested("k", "q")
    plan = keras_paths.match(checkpoint, other, Selection(by_name=True)).check(STRICT)
    assert [t.name for t, _ in plan.pairs] == [
        "layers/functional_1/layers/dense/vars/0",
        "layers/functional/layers/dense/vars/0",
    ]


# ------------------------------------------------------------------------------------- dtypes


@pytest.mark.parametrize(
    "stored, wanted, fits",
    [
        ("float64", "float32", True),
        ("float32", "bfloat16", True),
        ("int32", "float32", True),
        ("opaque2", "bfloat16", True),
        ("opaque2", "float32", True),
        ("opaque2", "int16", False),
        ("opaque1", "float8_e4m3fn", True),
        ("opaque1", "float8_e5m2", True),
        ("opaque1", "float32", False),
        ("complex64", "float32", False),
    ],
)
def test_dtypes(stored: str, wanted: str, fits: bool) -> None:
    tree = sequential("a")
    leaf = next(iter(tree.leaves))
    leaf.dtype = wanted
    sizes = {"opaque2": "V2", "opaque1": "V1"}
    array = np.zeros((2, 2), sizes.get(stored, stored))
    plan = keras_paths.match(FakeCheckpoint({"layers/dense/vars/0": array}), tree)
    if fits:
        assert plan.check(STRICT).casts() == {(stored, wanted): 1}
    else:
        with pytest.raises(MatchError, match="found"):
            plan.check(STRICT)


# --------------------------------------------------------------------------- custom and show


def test_custom_objects_get_what_is_stored_for_them() -> None:
    b = Build()
    node = b.node("mine", "mine")
    node.custom, node.expects = True, 1
    tree = b.tree(b.node("net", "m", part=node))
    plan = keras_paths.match(fake(["part/vars/w", "part/vars/sub/x"]), tree).check(STRICT)
    assert set(plan.customs[0].tensors) == {"w", "sub/x"}
    assert plan.customs[0].path == "part"
    assert not plan.unexpected


def test_the_plan_is_a_table() -> None:
    tree = sequential("a", "b")
    text = str(keras_paths.match(fake(["layers/dense/vars/0", "extra/vars/0"]), tree))
    assert "a/v0" in text
    assert "<- layers/dense/vars/0" in text
    assert "b/v0  missing" in text
    assert "extra/vars/0  unexpected" in text
    assert "1 to load (16 bytes)" in text


def test_handles_are_never_touched() -> None:
    class Untouchable(Variable):
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    tree = sequential("a")
    for leaf in tree.leaves:
        leaf.handle = Untouchable.__new__(Untouchable)
    assert keras_paths.match(stored_for(tree), tree).check(STRICT).pairs
