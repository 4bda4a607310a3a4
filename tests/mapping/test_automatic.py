"""Which names nobody chose, how two rows pair, and what matches nothing."""

from __future__ import annotations

import itertools

import pytest

from kio.errors import MatchError
from kio.mapping import flat, keras_paths
from kio.mapping.automatic import Automatic, is_automatic, is_state
from kio.mapping.pairing import align
from kio.mapping.plan import KERAS, STRICT
from kio.mapping.selection import Chooser, Renamer, Selection, nearest
from kio.mapping.tree import Tree

from .make import Build, FakeCheckpoint, fake


@pytest.mark.parametrize(
    "name, cls, automatic",
    [
        ("dense", "dense", True),
        ("dense_12", "dense", True),
        ("dense_1_1", "dense", True),
        ("dense1", "dense", False),
        ("dense_a", "dense", False),
        ("my_dense", "dense", False),
        ("dense", "conv2d", False),  # nobody's class: somebody chose it
        ("convolution2d_3", "conv2d", True),  # Keras 1
        ("atrousconvolution2d_3", "conv2d", True),
        ("batchnormalization_1", "batch_normalization", True),
        ("batch_normalization_v1_2", "batch_normalization", True),
        ("cu_dnnlstm_1", "lstm", True),
        ("forward_lstm_4", "lstm", True),
        ("model_2", "functional", True),
        ("functional_5", "functional", True),
        ("sequential_3", "functional", True),
        ("res_block_7", "res_block", True),  # a class of the user's
        ("block_7", "res_block", False),
        ("encoder", "sequential", False),
        ("_", "dense", False),
        ("", "dense", False),
    ],
)
def test_automatic_names(name: str, cls: str, automatic: bool) -> None:
    assert is_automatic(name, cls) is automatic


def test_paths_without_numbers() -> None:
    canon = Automatic(["sequential", "dense", "batch_normalization"]).canon
    assert canon("sequential_3/dense_7/kernel") == "sequential/dense/kernel"
    assert canon("encoder_3/dense_7/variable_4") == "encoder_3/dense/variable"
    assert canon("batchnormalization_2/gamma") == canon("batch_normalization/gamma")


def test_state_is_told_by_its_names() -> None:
    assert all(map(is_state, ["adam/iteration", "optimizer/vars/3", "metrics/x/vars/0", "mean/total"]))
    assert not any(map(is_state, ["dense/kernel", "layers/dense/vars/0", "adam_block/kernel"]))


def test_pairing_takes_the_longest_and_says_whether_it_is_the_only_one() -> None:
    def brute(n: int, m: int, good: tuple[tuple[bool, ...], ...]) -> list[dict[int, int]]:
        found = []
        for k in range(min(n, m) + 1):
            for a, b in itertools.product(itertools.combinations(range(n), k), itertools.combinations(range(m), k)):
                if all(good[i][j] for i, j in zip(a, b, strict=True)):
                    found.append(dict(zip(a, b, strict=True)))
        longest = max(map(len, found))
        return [each for each in found if len(each) == longest]

    for bits in itertools.product([False, True], repeat=9):
        good = (bits[:3], bits[3:6], bits[6:])
        pairs, sure = align(3, 3, lambda i, j, good=good: good[i][j])  # type: ignore[misc]
        best = brute(3, 3, good)
        assert pairs in best and sure == (len(best) == 1)
    assert align(2, 3, lambda i, j: True) == ({0: 0, 1: 1}, False)
    assert align(0, 3, lambda i, j: True) == ({}, True)


# ----------------------------------------------------------------------------------- flat


def numbered(*names: str, shapes: list[tuple[int, ...]] | None = None, cls: str = "dense") -> Tree:
    b = Build()
    given = shapes or [(2, 2)] * len(names)
    layers = [b.node(cls, name, [shape]) for name, shape in zip(names, given, strict=True)]
    return b.tree(b.node("functional", "functional", kind="Functional", layers=layers))


def went(plan: object) -> dict[str, str]:
    return {leaf.path: tensor.name for tensor, leaf in plan.pairs}  # type: ignore[attr-defined]


THREE = ["dense/v0", "dense_1/v0", "dense_2/v0"]


def test_three_layers_do_not_go_into_two_of_shifted_numbers() -> None:
    tree = numbered("dense_1", "dense_2")
    with pytest.raises(MatchError) as error:
        flat.match(fake(THREE), tree).check(KERAS)
    text = str(error.value)
    assert "by their order: dense_1 <- dense, dense_2 <- dense_1; the file's dense_2 not used" in text
    assert "by their names: dense_1 <- dense_1, dense_2 <- dense_2; the file's dense not used" in text
    partly = flat.match(fake(THREE), tree, Selection(partial=True)).check(KERAS)
    assert went(partly) == {"dense_1/v0": "dense/v0", "dense_2/v0": "dense_1/v0"}
    assert len(partly.doubts) == 1
    named = flat.match(fake(THREE), tree, Selection(by_name=True)).check(KERAS)
    assert went(named) == {"dense_1/v0": "dense_1/v0", "dense_2/v0": "dense_2/v0"}


def test_shapes_tell_which_part_it_is() -> None:
    checkpoint = FakeCheckpoint({})
    for name, shape in zip(THREE, [(4, 4), (4, 2), (2, 3)], strict=True):
        checkpoint[name] = fake([name], shape=shape)[name]
    plan = flat.match(
        checkpoint, numbered("dense_7", "dense_8", shapes=[(4, 2), (2, 3)]), Selection(partial=True)
    ).check(KERAS)
    assert went(plan) == {"dense_7/v0": "dense_1/v0", "dense_8/v0": "dense_2/v0"}
    assert not plan.doubts


def test_order_counts_where_the_file_has_one() -> None:
    """A writer's own order, not that of names: the numbers of another session are no evidence against it."""
    checkpoint = fake(["dense_3/v0", "dense_1/v0", "dense_2/v0"])
    tree = numbered("dense_5", "dense_6", "dense_7")
    assert list(went(flat.match(checkpoint, tree).check(STRICT)).values()) == list(checkpoint)


def test_equal_names_in_another_order_are_two_readings() -> None:
    checkpoint = fake(["dense_2/v0", "dense/v0", "dense_1/v0"])
    with pytest.raises(MatchError, match="by their order"):
        flat.match(checkpoint, numbered("dense", "dense_1", "dense_2")).check(KERAS)
    same = flat.match(checkpoint, numbered("dense_2", "dense", "dense_1")).check(STRICT)
    assert all(path == name for path, name in went(same).items())


def test_chosen_names_count_in_flat_files() -> None:
    checkpoint = fake(["enc/v0", "dense/v0", "dec/v0", "dense_1/v0"])
    tree = numbered("dec", "dense_4", "enc", "dense_5")
    assert went(flat.match(checkpoint, tree).check(STRICT)) == {
        "dec/v0": "dec/v0", "dense_4/v0": "dense/v0", "enc/v0": "enc/v0", "dense_5/v0": "dense_1/v0",
    }  # fmt: skip
    with pytest.raises(MatchError, match="stay unused"):
        flat.match(checkpoint, numbered("dec", "dense_4", "enc")).check(KERAS)


def test_numbers_of_ten_and_more_follow_those_of_one_figure() -> None:
    names = sorted(f"dense_{i}/v0" for i in range(1, 12))
    plan = flat.match(fake(names), numbered(*(f"dense_{i}" for i in range(5, 16)))).check(STRICT)
    assert went(plan)["dense_14/v0"] == "dense_10/v0"


def test_an_optimizer_in_a_flat_file_is_no_layer() -> None:
    plan = flat.match(fake(["dense/v0", "adam/iteration", "adam/dense_v0_momentum"]), numbered("dense_3")).check(KERAS)
    assert went(plan) == {"dense_3/v0": "dense/v0"} and not plan.unused()


# ------------------------------------------------------------------- what matches nothing


def test_patterns_that_match_nothing() -> None:
    tree, checkpoint = numbered("enc", "dec"), fake(["layers/dense/vars/0", "layers/dense_1/vars/0"])
    for layout in (flat, keras_paths):
        with pytest.raises(MatchError, match=r"include: expected .* found 'encoder/\*', which matches none; nearest"):
            layout.match(checkpoint, tree, Selection(include=["enc/*", "encoder/*"]))
        with pytest.raises(MatchError, match=r"exclude: expected .* found 'den/"):
            layout.match(checkpoint, tree, Selection(exclude="den/*"))
        with pytest.raises(MatchError, match="empty list"):
            layout.match(checkpoint, tree, Selection(include=[]))
        plan = layout.match(checkpoint, tree, Selection(include=["enc/*", "*/v0"], exclude=["dec/v0"]))
        assert [skip.what for skip in plan.skipped] == ["dec/v0"] and len(plan.pairs) == 1


def test_what_is_left_out_may_be_in_the_file_alone() -> None:
    checkpoint = fake(["layers/dense/vars/0", "optimizer/vars/0"])
    assert keras_paths.match(checkpoint, numbered("a"), Selection(exclude="optimizer/*")).check(KERAS).pairs
    with pytest.raises(MatchError, match="include"):
        keras_paths.match(checkpoint, numbered("a"), Selection(include=["a/*", "optimizer/*"]))


def test_a_pattern_behind_another_is_seen() -> None:
    choose = Chooser(["a/*", "a/kernel"], ["a/bias", "a/*as"])
    assert [choose(name) for name in ("a/kernel", "a/bias", "b/kernel")] == [True, False, False]
    choose.check([])


def test_keys_of_rename_that_match_nothing() -> None:
    tree, checkpoint = numbered("enc", "dec"), fake(["body/dense/vars/0", "body/dense_1/vars/0"])
    with pytest.raises(MatchError, match=r"rename: expected keys .* found 'layer', .*; nearest (is|are) 'layers'"):
        keras_paths.match(checkpoint, tree, Selection(rename={"layers": "body", "layer": "body"}))
    with pytest.raises(MatchError, match="'layers/dense/vars/1'"):  # objects move as a whole
        keras_paths.match(checkpoint, tree, Selection(rename={"layers": "body", "layers/dense/vars/1": "x"}))
    with pytest.raises(MatchError, match=r"nearest (is|are) 'enc"):
        flat.match(fake(["x/v0", "dec/v0"]), tree, Selection(rename={"encc": "x"}))
    # A longer key comes first; the shorter one matches, too.
    both = Renamer({"layers": "body", "layers/dense": "x"})
    assert both("layers/dense/vars/0") == "x/vars/0"
    both.check("anything")


def test_a_function_may_find_nothing_to_do() -> None:
    checkpoint = fake(["layers/dense/vars/0"])
    assert (
        keras_paths.match(checkpoint, numbered("a"), Selection(rename=lambda key: key.replace("x", "y")))
        .check(STRICT)
        .pairs
    )
    with pytest.raises(MatchError, match="missing a/v0"):
        keras_paths.match(checkpoint, numbered("a"), Selection(rename=lambda key: "z" + key)).check(KERAS)


def test_rename_and_by_name_of_keras_paths() -> None:
    checkpoint = fake(["layers/dense/vars/0"], names_of={"layers/dense/vars": "old"})
    plan = keras_paths.match(checkpoint, numbered("new"), Selection(by_name=True, rename={"new": "old"})).check(STRICT)
    assert went(plan) == {"new/v0": "layers/dense/vars/0"}
    with pytest.raises(MatchError, match="missing new/v0"):
        keras_paths.match(checkpoint, numbered("new"), Selection(by_name=True, rename={"new": "odl"})).check(KERAS)


def test_members_of_a_set_are_not_told_by_automatic_names() -> None:
    def in_a_set(*names: str) -> Tree:
        b = Build()
        return b.tree(b.node("net", "m", parts={b.node("dense", name, [(2, 2)]) for name in names}))

    keys = ["parts/dense/vars/0", "parts/dense_1/vars/0"]
    automatic = fake(keys, names_of={"parts/dense/vars": "dense_1", "parts/dense_1/vars": "dense"}, version="3.6.0")
    with pytest.raises(MatchError, match="missing"):
        keras_paths.match(automatic, in_a_set("dense_1", "dense_2")).check(KERAS)
    # A model that was made of the file has its names.
    assert went(keras_paths.match(automatic, in_a_set("dense", "dense_1"), Selection(whole=True)).check(STRICT)) == {
        "dense_1/v0": keys[0], "dense/v0": keys[1],
    }  # fmt: skip
    chosen = fake(keys, names_of={"parts/dense/vars": "q", "parts/dense_1/vars": "k"}, version="3.6.0")
    assert went(keras_paths.match(chosen, in_a_set("k", "q")).check(STRICT))["q/v0"] == keys[0]


def test_nearest_names() -> None:
    assert nearest("encodr/*", ["encoder/dense/kernel", "head/kernel"]) == "nearest are 'encoder', 'encoder/dense'"
    assert nearest("kernle", ["a/kernel"]) == "nearest is 'a/kernel'"
    assert nearest("zzz", ["a/kernel"]) == "there are 'a' …"
    assert nearest("zzz", []) == "there is nothing"
