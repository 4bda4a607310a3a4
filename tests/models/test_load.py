"""Files into live models: the right values, or an error and an untouched model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kio

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402

from kio.errors import FormatError, MatchError  # noqa: E402
from kio.mapping import keras_paths  # noqa: E402
from kio.models import load  # noqa: E402
from kio.models.live import walk  # noqa: E402

from . import graphs, kinds  # noqa: E402

VERSION = tuple(int(n) for n in keras.__version__.split(".")[:3])
named = pytest.mark.skipif(VERSION < (3, 6), reason="Keras before 3.6 stores no names")

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def values(model: Any) -> list[np.ndarray[Any, Any]]:
    """What a file can hold: no state of seed generators."""
    variables = [*model.variables, *(getattr(model, "optimizer", None) or graphs._NONE).variables]
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables if "seed_generator" not in v.path]


def same(a: Any, b: Any) -> None:
    for x, y in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(x, y)


def saved(model: Any, path: Path) -> Path:
    graphs.number(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_weights(path)
    return path


def zeroed(model: Any) -> Any:
    for v in [*model.variables, *(getattr(model, "optimizer", None) or graphs._NONE).variables]:
        v.assign(np.zeros(v.shape, v.dtype))
    return model


def stack(*names: str | None, units: int = 3, **kwargs: Any) -> Any:
    return keras.Sequential([keras.Input((3,)), *(layers.Dense(units, name=n, **kwargs) for n in names)], name="stack")


def untouched(model: Any, attempt: Callable[[], Any], error: Any = MatchError, match: str | None = None) -> None:
    before = values(model)
    with pytest.raises(error, match=match):
        attempt()
    for x, y in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(x, y)


# ------------------------------------------------------------------------------ round trips


@pytest.mark.parametrize("seed", range(60))
def test_grown_models_load_what_stock_keras_wrote(seed: int, tmp_path: Path) -> None:
    model = graphs.grown(seed)
    path = saved(model, tmp_path / "m.weights.h5")
    wanted = values(model)
    if len(keras_paths.names(walk.tree(model), graphs.own_rule())) < sum(1 for _ in walk.tree(model).leaves):
        # This Keras does not write layers in lists in lists.
        untouched(model, lambda: kio.load_weights(model, path), match="missing")
        return
    report = kio.load_weights(zeroed(model), path).assert_consumed()
    for x, y in zip(wanted, values(model), strict=True):
        np.testing.assert_array_equal(x, y)
    assert report.nbytes == sum(x.nbytes for x in h5_arrays(path))


def h5_arrays(path: Path) -> list[np.ndarray[Any, Any]]:
    found: list[np.ndarray[Any, Any]] = []
    with h5py.File(path) as f:
        f.visititems(lambda _, x: found.append(np.array(x)) if isinstance(x, h5py.Dataset) else None)
    return found


def trained(optimizer: Any = "adam", **kwargs: Any) -> Any:
    model = stack(None, None, **kwargs)
    model.compile(optimizer, "mse")
    try:
        model.optimizer.build(model.trainable_variables)
    except TypeError as e:
        pytest.skip(f"{optimizer} of Keras {keras.__version__}: {e}")
    return model


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd",
        "adam",
        "adamw",
        "rmsprop",
        "nadam",
        "ftrl",
        "lion",
        "adagrad",
        "adadelta",
        "adamax",
        "adafactor",
    ],
)
def test_optimizers(optimizer: str, tmp_path: Path) -> None:
    model = trained(optimizer)
    path = saved(model, tmp_path / "m.weights.h5")
    wanted = values(model)
    kio.load_weights(zeroed(model), path).assert_consumed()
    for x, y in zip(wanted, values(model), strict=True):
        np.testing.assert_array_equal(x, y)


def test_an_optimizer_in_an_optimizer_is_stored_twice_and_read_once(tmp_path: Path) -> None:
    model = trained(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()))
    path = saved(model, tmp_path / "m.weights.h5")
    wanted = values(model)
    if len(keras_paths.names(walk.tree(model), graphs.own_rule())) < sum(1 for _ in walk.tree(model).leaves):
        # This Keras does not write layers in lists in lists.
        untouched(model, lambda: kio.load_weights(model, path), match="missing")
        return
    report = kio.load_weights(zeroed(model), path).assert_consumed()
    for x, y in zip(wanted, values(model), strict=True):
        np.testing.assert_array_equal(x, y)
    assert report.plan.notes


def test_dtypes_are_cast_as_on_assignment(tmp_path: Path) -> None:
    model = stack("a")
    path = saved(model, tmp_path / "m.weights.h5")
    for dtype in ("float16", "bfloat16", "float32"):
        other = stack("a", dtype=dtype)
        report = kio.load_weights(other, path)
        for x, y in zip(values(model), values(other), strict=True):
            np.testing.assert_array_equal(x.astype(y.dtype), y)
        assert bool(report.plan.casts()) == (dtype != "float32")


@pytest.mark.skipif(VERSION < (3, 0, 5), reason="Keras before 3.0.5 marks no bfloat16")
def test_bfloat16_files(tmp_path: Path) -> None:
    model = stack("a", dtype="bfloat16")
    path = saved(model, tmp_path / "m.weights.h5")
    wide = stack("a")
    kio.load_weights(wide, path)
    for x, y in zip(values(model), values(wide), strict=True):
        np.testing.assert_array_equal(x.astype("float32"), y)
    with h5py.File(path, "r+") as f:
        for key in ("0", "1"):
            del f[f"layers/dense/vars/{key}"].attrs["dtype"]
    wanted = values(model)
    kio.load_weights(zeroed(model), path)
    for x, y in zip(wanted, values(model), strict=True):
        np.testing.assert_array_equal(x, y)


# ------------------------------------------------------------------- silent corruption, keras.md 2.3


@named
def test_a_layer_in_front_is_an_error_and_skipped_whole_under_skip_mismatch(tmp_path: Path) -> None:
    path = saved(stack("enc", "dec"), tmp_path / "m.weights.h5")
    model = stack("new", "enc", "dec")
    untouched(model, lambda: kio.load_weights(model, path))
    before = values(model)
    with pytest.warns(UserWarning, match="left as they were"):
        report = kio.load_weights(model, path, skip_mismatch=True)
    for x, y in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(x, y)
    assert not report.loaded
    with pytest.raises(AssertionError, match="enc"):
        report.assert_existing_objects_matched()


@named
def test_swapped_layers_are_an_error(tmp_path: Path) -> None:
    path = saved(stack("enc", "dec"), tmp_path / "m.weights.h5")
    model = stack("dec", "enc")
    untouched(model, lambda: kio.load_weights(model, path), match="by its name 'enc'")


def test_a_misfit_leaves_the_layers_before_it_alone(tmp_path: Path) -> None:
    path = saved(keras.Sequential([keras.Input((3,)), layers.Dense(3), layers.Dense(4)]), tmp_path / "m.weights.h5")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3), layers.Dense(5)])
    untouched(model, lambda: kio.load_weights(model, path), match=r"expected shape \[3, 5\], found \[3, 4\]")
    first = values(model)[0]
    with pytest.warns(UserWarning, match="left as they were"):
        report = kio.load_weights(model, path, skip_mismatch=True)
    assert not np.array_equal(first, values(model)[0])
    assert len(report.loaded) == 2


def test_a_layer_is_skipped_whole(tmp_path: Path) -> None:
    """The kernel fits, the bias does not: neither is set."""

    class Odd(layers.Layer):
        def __init__(self, n: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.one = self.add_weight(shape=(3,), name="one")
            self.two = self.add_weight(shape=(n,), name="two")
            self.built = True

        def call(self, x: Any) -> Any:
            return x

    path = saved(keras.Sequential([keras.Input((3,)), Odd(2)]), tmp_path / "m.weights.h5")
    model = keras.Sequential([keras.Input((3,)), Odd(4)])
    before = values(model)
    with pytest.warns(UserWarning, match="left as they were"):
        kio.load_weights(model, path, skip_mismatch=True)
    for x, y in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.skipif(kinds.dense_stores_all(), reason="in this Keras Dense saves whatever it has")
def test_a_dense_subclass_with_more_weights_says_so(tmp_path: Path) -> None:
    class Gated(layers.Dense):
        def build(self, shape: Any) -> None:
            super().build(shape)
            self.gate = self.add_weight(shape=(1,), name="gate")

    model = keras.Sequential([keras.Input((3,)), Gated(2)])
    path = saved(model, tmp_path / "m.weights.h5")
    untouched(model, lambda: kio.load_weights(model, path), match="expected 3 stored variables, found 2")


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_failed_load_leaves_every_variable(damage: str, tmp_path: Path) -> None:
    model = trained()
    path = saved(model, tmp_path / "m.weights.h5")
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-700])
    else:
        with h5py.File(path, "r+") as f:
            del f["layers/dense_1/vars/1"]
    zeroed(model)
    untouched(model, lambda: kio.load_weights(model, path), (FormatError, MatchError))


@pytest.mark.parametrize("where", [0.2, 0.5, 0.9])
def test_damaged_payload_with_a_checksum_leaves_every_variable(where: float, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64), layers.Dense(64), layers.Dense(64)])
    model.compile("sgd", "mse")
    graphs.number(model)
    path = tmp_path / "m.keras"
    model.save(path)
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 0x10
    path.write_bytes(data)
    zeroed(model)
    untouched(model, lambda: kio.load_weights(model, path), FormatError)


# ------------------------------------------------------------------------- what Keras takes


def test_optimizer_state_is_left_where_it_does_not_belong(tmp_path: Path) -> None:
    path = saved(trained(), tmp_path / "m.weights.h5")
    plain = stack(None, None)
    report = kio.load_weights(plain, path)
    assert len(report.loaded) == 4
    assert len(report.unexpected) == 10
    report.assert_existing_objects_matched()
    for other in ("sgd", "adagrad"):
        with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
            report = kio.load_weights(trained(other), path)
        assert len(report.loaded) == 4
        assert report.skipped


def test_a_file_without_optimizer_state(tmp_path: Path) -> None:
    path = saved(stack(None, None), tmp_path / "m.weights.h5")
    with pytest.warns(UserWarning, match="expected 10 stored variables, found 0"):
        assert len(kio.load_weights(trained(), path).loaded) == 4


def test_an_optimizer_that_is_not_built(tmp_path: Path) -> None:
    path = saved(trained(), tmp_path / "m.weights.h5")
    model = stack(None, None)
    model.compile("adam", "mse")
    with pytest.warns(UserWarning, match="expected 2 stored variables, found 10"):
        assert len(kio.load_weights(model, path).loaded) == 4


@named
def test_state_of_another_kind_of_optimizer_is_left(tmp_path: Path) -> None:
    """keras.md 2.7: stock Keras takes SGD momentum for RMSprop velocity."""
    path = saved(trained(keras.optimizers.SGD(momentum=0.9)), tmp_path / "m.weights.h5")
    model = trained("rmsprop")
    with pytest.warns(UserWarning, match="(?i)the file has the state of 'sgd"):
        assert len(kio.load_weights(model, path).loaded) == 4


def test_objects_to_skip(tmp_path: Path) -> None:
    model = stack("a", "b", "c")
    path = saved(model, tmp_path / "m.weights.h5")
    wanted = values(model)
    zeroed(model)
    kio.load_weights(model, path, objects_to_skip=[model.layers[1]])
    for i, (x, y) in enumerate(zip(wanted, values(model), strict=True)):
        np.testing.assert_array_equal(np.zeros_like(x) if i in (2, 3) else x, y)


def test_include_and_exclude(tmp_path: Path) -> None:
    path = saved(stack("a", "b"), tmp_path / "m.weights.h5")
    model = zeroed(stack("a", "b"))
    kio.load_weights(model, path, exclude="*/bias")
    assert [bool(x.any()) for x in values(model)] == [True, False, True, False]
    kio.load_weights(zeroed(model), path, include=["stack/b/*"])
    assert [bool(x.any()) for x in values(model)] == [False, False, True, True]


def test_a_model_that_is_not_built(tmp_path: Path) -> None:
    path = saved(stack("a"), tmp_path / "m.weights.h5")
    with pytest.raises(MatchError, match="expected a built model"):
        kio.load_weights(keras.Sequential([layers.Dense(3)]), path)


# ------------------------------------------------------------------- objects with their own code


class Own(layers.Layer):
    """Saves under names of its own, and can be told to fail."""

    fail = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.w = self.add_weight(shape=(2,), name="w")
        self.table: Any = None
        self.built = True

    def call(self, x: Any) -> Any:
        return x

    def save_own_variables(self, store: Any) -> None:
        store["weight"] = self.w
        store["table"] = np.arange(4)

    def load_own_variables(self, store: Any) -> None:
        assert len(store) == 2
        assert set(store.keys()) == {"weight", "table"}
        assert "weight" in store
        self.w.assign(store["weight"])
        self.table = np.array(store["table"])
        if self.fail:
            raise RuntimeError(self.fail)


def own_model() -> Any:
    return keras.Sequential([keras.Input((3,)), layers.Dense(3), Own(), layers.Dense(3)])


def test_own_code_runs_on_a_view(tmp_path: Path) -> None:
    model = own_model()
    path = saved(model, tmp_path / "m.weights.h5")
    wanted = values(model)
    kio.load_weights(zeroed(model), path).assert_consumed()
    for x, y in zip(wanted, values(model), strict=True):
        np.testing.assert_array_equal(x, y)
    assert model.layers[1].table.tolist() == [0, 1, 2, 3]


def test_own_code_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = own_model()
    path = saved(model, tmp_path / "m.weights.h5")
    zeroed(model)
    monkeypatch.setattr(Own, "fail", "on purpose")
    untouched(model, lambda: kio.load_weights(model, path), match="found RuntimeError: on purpose")
    with pytest.warns(UserWarning, match="left as they were"):
        report = kio.load_weights(model, path, skip_mismatch=True)
    assert [bool(x.any()) for x in values(model)] == [True, True, False, True, True]
    assert "on purpose" in report.skipped[0]


def test_a_failure_after_own_code_undoes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = own_model()
    path = saved(model, tmp_path / "m.weights.h5")
    zeroed(model)

    def broken(self: Any) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr(load.Mover, "fill", broken)
    untouched(model, lambda: kio.load_weights(model, path), OSError)


def test_super_load_own_variables_on_the_view(tmp_path: Path) -> None:
    class Finished(layers.Dense):
        done = 0

        def load_own_variables(self, store: Any) -> None:
            super().load_own_variables(store)
            self.done += 1

    model = keras.Sequential([keras.Input((3,)), Finished(2)])
    path = saved(model, tmp_path / "m.weights.h5")
    wanted = values(model)
    kio.load_weights(zeroed(model), path)
    for x, y in zip(wanted, values(model), strict=True):
        np.testing.assert_array_equal(x, y)
    assert model.layers[0].done == 1


# --------------------------------------------------------------------- quantized and the like


def quantized(mode: str, make: Callable[[], Any]) -> Any:
    if not hasattr(keras.Model, "quantize"):
        pytest.skip("Keras before 3.3 does not quantize")
    keras.utils.set_random_seed(1)
    model = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize(mode)
    return model


MAKERS: dict[str, Callable[[], Any]] = {
    "dense": lambda: keras.Sequential([keras.Input((8,)), layers.Dense(6), layers.Dense(4, use_bias=False)]),
    "einsum": lambda: keras.Sequential(
        [keras.Input((4, 8)), layers.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d")]
    ),
    "embedding": lambda: keras.Sequential([keras.Input((4,)), layers.Embedding(5, 6)]),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantized(mode: str, make: Callable[[], Any], tmp_path: Path) -> None:
    if mode == "float8" and make is MAKERS["embedding"]:
        pytest.skip("Keras has no float8 embedding")
    try:
        model = quantized(mode, make)
    except (NotImplementedError, ValueError) as e:
        pytest.skip(str(e))
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    wanted = values(model)
    if VERSION >= (3, 14):
        assert not any(node.custom for node in walk.tree(model).nodes)
    kio.load_weights(zeroed(model), path).assert_consumed()
    for x, y in zip(wanted, values(model), strict=True):
        np.testing.assert_array_equal(x, y)
    plain = make()
    untouched(plain, lambda: kio.load_weights(plain, path))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("mode", [None, "int8"])
def test_lora_is_merged_when_saved_and_zeroed_when_loaded(
    mode: str | None, make: Callable[[], Any], tmp_path: Path
) -> None:
    def fresh() -> Any:
        model = make() if mode is None else quantized(mode, make)
        if not hasattr(model.layers[0], "enable_lora"):
            pytest.skip("this Keras has no LoRA for it")
        model.layers[0].enable_lora(2)
        return model

    model = fresh()
    for v in model.layers[0].variables:
        if "lora" in v.name:
            v.assign(np.full(v.shape, 0.5))
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    stock, mine = fresh(), fresh()
    for each in (stock, mine):
        for v in each.layers[0].variables:
            if "lora" in v.name:
                v.assign(np.full(v.shape, 0.25))
    stock.load_weights(path)
    kio.load_weights(mine, path)
    same(stock, mine)


def test_normalization_is_finished(tmp_path: Path) -> None:
    def make() -> Any:
        layer = layers.Normalization()
        layer.build((None, 3))
        return keras.Sequential([keras.Input((3,)), layer])

    model = make()
    model.layers[0].adapt(np.arange(12.0).reshape(4, 3))
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    other = make()
    kio.load_weights(other, path)
    x = np.ones((1, 3), "f4")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), keras.ops.convert_to_numpy(other(x)))


# ---------------------------------------------------------------------------------- the report


def test_the_report_and_the_plan_can_be_read(tmp_path: Path) -> None:
    path = saved(stack("a", "b"), tmp_path / "m.weights.h5")
    model = stack("a", "b")
    plan = kio.plan(model, path)
    assert "stack/a/kernel" in str(plan)
    report = kio.load_weights(model, path)
    assert "4 loaded" in str(report)
    assert report.expect_partial() is report
    assert report.assert_consumed() is report
