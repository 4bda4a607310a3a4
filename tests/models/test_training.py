"""What old models were compiled with, and the state of their optimizers."""

from __future__ import annotations

import copy
import io
import json
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.models.allowlist import UnknownClassError  # noqa: E402
from kio.models.eras.rule import Context  # noqa: E402
from kio.models.eras.upgrade import Era, UpgradeError, training  # noqa: E402

pytestmark = pytest.mark.keras

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(8, 2)).astype("float32")


def context(version: str = "2.4.0", custom: tuple[str, ...] = ()) -> Context:
    return Context(Era.of({"keras_version": version}), lambda name: name in custom)


def values(variables: Any) -> list[Any]:
    return [keras.ops.convert_to_numpy(v) for v in variables]


def net(optimizer: Any = "adam", loss: Any = "mse", metrics: Any = ("mae",)) -> Any:
    model = keras.Sequential([
        keras.Input((3,)), keras.layers.Dense(4, name="a"), keras.layers.BatchNormalization(name="n"),
        keras.layers.Dense(2, name="b"),
    ])  # fmt: skip
    model.compile(optimizer, loss, metrics=list(metrics))
    model.train_on_batch(X, Y)
    model.train_on_batch(X, Y)
    return model


def saved(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


OPTIMIZERS: dict[str, Any] = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "sgd": lambda: keras.optimizers.SGD(0.01),
    "momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "adagrad": lambda: keras.optimizers.Adagrad(0.01),
    "adadelta": lambda: keras.optimizers.Adadelta(0.01),
    "adamax": lambda: keras.optimizers.Adamax(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01),
    "ftrl": lambda: keras.optimizers.Ftrl(0.01),
    "lion": lambda: keras.optimizers.Lion(0.01),
    "schedule": lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)),
}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_what_keras_3_saves_as_h5_trains_on(name: str, tmp_path: Path) -> None:
    """Stock Keras cannot read its own file as soon as a loss or metric is a string."""
    model = net(OPTIMIZERS[name]())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="__array__")
        loaded = kio.load_model(saved(model, tmp_path / "m.h5"))
    for a, b in zip(values(model.optimizer.variables), values(loaded.optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    for _ in range(3):
        ours, theirs = loaded.train_on_batch(X, Y), model.train_on_batch(X, Y)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_compile_false_and_load_weights_leave_the_optimizer_alone(tmp_path: Path) -> None:
    path = saved(net(), tmp_path / "m.h5")
    assert not kio.load_model(path, compile=False).compiled
    other = net()
    before = values(other.optimizer.variables)
    report = kio.load_weights(other, path)
    assert any("optimizer" in note for note in report.plan.notes)
    for a, b in zip(values(other.optimizer.variables), before, strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------- a .keras that was saved after an .h5


def forgotten(optimizer: Any, path: Path, named: bool = True) -> tuple[Any, Path]:
    """A model, and its ``.keras`` after an ``.h5``: Keras forgot the optimizer in between.

    Args:
        optimizer: Of the model, which is trained.
        path: Of the file.
        named: As Keras 3.6 and later write it, which say whose state it is.
    """
    model = net(optimizer)
    model.fit(X, Y, epochs=2, verbose=0)
    saved(model, path.with_suffix(".h5"))
    saved(model, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert "optimizer" not in json.loads(members["config.json"])["compile_config"]
    if not named:
        weights = io.BytesIO(members["model.weights.h5"])
        with h5py.File(weights, "r+") as file:
            file.visititems(lambda _, group: group.attrs.pop("name", None) and None)
        members["model.weights.h5"] = weights.getvalue()
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    return model, path


@pytest.mark.parametrize("named", [True, False])
def test_a_state_of_an_unknown_optimizer_is_left_alone(named: bool, tmp_path: Path) -> None:
    # As many slots as RMSprop has, which is what the model gets.
    model, path = forgotten(keras.optimizers.Adagrad(0.01), tmp_path / "m.keras", named)
    state = r"adagrad(_\d+)?" if named else "an unknown optimizer"
    with pytest.warns(UserWarning, match=f"does not say which optimizer .* the state of {state} is left alone"):
        loaded = kio.load_model(path)
    for a, b in zip(values(loaded.weights), values(model.weights), strict=True):
        np.testing.assert_array_equal(a, b)
    fresh = keras.optimizers.RMSprop()
    fresh.build(loaded.trainable_variables)
    assert len(fresh.variables) == len(model.optimizer.variables)
    for a, b in zip(values(loaded.optimizer.variables), values(fresh.variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_state_that_says_it_is_the_defaults_is_loaded(tmp_path: Path) -> None:
    model, path = forgotten(keras.optimizers.RMSprop(0.01), tmp_path / "m.keras")
    with pytest.warns(UserWarning, match="does not say which optimizer .* its state is loaded"):
        loaded = kio.load_model(path)
    for a, b in zip(values(loaded.optimizer.variables), values(model.optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_who_compiled_it_says_whose_state_it_is(tmp_path: Path) -> None:
    model, path = forgotten(keras.optimizers.Adagrad(0.01), tmp_path / "m.keras", named=False)
    other = net(keras.optimizers.Adagrad(0.5))
    kio.load_weights(other, path)
    for a, b in zip(values(other.optimizer.variables), values(model.optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_kio_saves_the_optimizer_that_keras_forgot(tmp_path: Path) -> None:
    model, path = forgotten(keras.optimizers.Adagrad(0.01), tmp_path / "m.keras")
    kio.save_model(model, path)
    loaded = keras.saving.load_model(path)
    assert type(loaded.optimizer) is keras.optimizers.Adagrad
    for a, b in zip(values(loaded.optimizer.variables), values(model.optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------- files of older writers


def rewritten(path: Path, names: list[str], tensors: list[Any], version: str = "2.4.0", cls: str = "Adam") -> Path:
    """The same file with the optimizer's state as another writer stored it."""
    with h5py.File(path, "r+") as file:
        del file["optimizer_weights"]
        group = file.create_group("optimizer_weights")
        group.attrs["weight_names"] = [name.encode() for name in names]
        for name, tensor in zip(names, tensors, strict=True):
            group[name] = tensor
        file.attrs["keras_version"] = version
        file["model_weights"].attrs["keras_version"] = version
    return path


def slots(model: Any) -> tuple[list[str], dict[str, Any]]:
    """Paths of the trained weights as stored, and the optimizer's variables by name."""
    refs = [v.path for v in model.trainable_variables]
    return refs, {v.name: keras.ops.convert_to_numpy(v) for v in model.optimizer.variables}


@pytest.mark.parametrize("writer", ["v2", "tf1", "2.11", "unnamed"])
def test_names_and_orders_of_every_era(writer: str, tmp_path: Path) -> None:
    model = net()
    path = saved(model, tmp_path / "m.h5")
    refs, by_name = slots(model)
    m = [by_name[ref.replace("/", "_") + "_momentum"] for ref in refs]
    v = [by_name[ref.replace("/", "_") + "_velocity"] for ref in refs]
    step = np.int64(2)
    if writer == "v2":
        names = ["Adam/iter:0", *(f"Adam/{r}/m:0" for r in refs), *(f"Adam/{r}/v:0" for r in refs)]
        tensors = [step, *m, *v]
    elif writer == "tf1":
        names = ["training/Adam/iter:0", *(f"training/Adam/{r}/m:0" for r in refs)]
        names += [f"training/Adam/{r}/v:0" for r in refs]
        tensors = [step, *m, *v]
    elif writer == "2.11":
        names, tensors = ["iteration:0"], [step]
        for r, a, b in zip(refs, m, v, strict=True):
            names += [f"Adam/m/{r}:0", f"Adam/v/{r}:0"]
            tensors += [a, b]
    else:
        names = ["Adam/iterations:0", *(f"training/Adam/Variable_{i}:0" for i in range(3 * len(refs)))]
        tensors = [step, *m, *v, *(np.zeros(1, "f4") for _ in refs)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="__array__")
        loaded = kio.load_model(rewritten(path, names, tensors))
    for a, b in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(values([a])[0], values([b])[0], err_msg=a.name)


def test_a_state_that_does_not_fit_is_left_alone_and_named(tmp_path: Path) -> None:
    model = net()
    path = saved(model, tmp_path / "m.h5")
    refs, by_name = slots(model)
    m = [by_name[ref.replace("/", "_") + "_momentum"] for ref in refs]
    names = ["Adam/iter:0", *(f"Adam/{r}/m:0" for r in refs)]
    with pytest.warns(UserWarning, match="none of whose readings"):
        loaded = kio.load_model(rewritten(path, names, [np.int64(2), *m]))
    assert int(loaded.optimizer.iterations) == 0


def test_sorted_names_of_keras_1(tmp_path: Path) -> None:
    model = net("rmsprop")
    path = saved(model, tmp_path / "m.h5")
    refs, by_name = slots(model)
    order = sorted(range(len(refs)), key=lambda i: refs[i])
    tensors = [by_name[refs[i].replace("/", "_") + "_velocity"] for i in order]
    names = [f"Variable_{i}:0" for i in range(len(refs))]
    with h5py.File(path) as file:
        assert "RMSprop" in file.attrs["training_config"]
    path = rewritten(path, names, tensors, "2.0.5")
    with h5py.File(path, "r+") as file:
        del file["model_weights"].attrs["backend"]
    loaded = kio.load_model(path)
    mine = {v.name: keras.ops.convert_to_numpy(v) for v in loaded.optimizer.variables}
    for name, array in mine.items():
        if "velocity" in name:
            np.testing.assert_array_equal(array, by_name[name])


# ------------------------------------------------------------------------------- arguments


def test_optimizers_of_keras_2() -> None:
    stored = {"lr": 0.5, "decay": 0.0, "beta_1": 0.9, "beta_2": 0.999, "epsilon": None, "amsgrad": False}
    made = training.optimizer({"class_name": "Adam", "config": stored}, context())
    optimizer = keras.optimizers.deserialize(made)
    assert float(optimizer.learning_rate) == 0.5 and optimizer.epsilon == 1e-7
    made = training.optimizer({"class_name": "SGD", "config": {"lr": 0.5, "decay": 0.1}}, context())
    schedule = keras.optimizers.deserialize(made)._learning_rate
    for step in (0, 1, 7):
        assert float(schedule(step)) == pytest.approx(0.5 / (1 + 0.1 * step))


def test_clipnorm_was_of_all_gradients_until_tf_keras() -> None:
    config = {"class_name": "SGD", "config": {"learning_rate": 0.5, "clipnorm": 1.0}}
    old = training.optimizer(copy.deepcopy(config), context("2.3.1"))["config"]
    new = training.optimizer(copy.deepcopy(config), context("2.2.4-tf"))["config"]
    assert old["global_clipnorm"] == 1.0 and "clipnorm" not in old
    assert new["clipnorm"] == 1.0 and "global_clipnorm" not in new


def test_optimizers_of_tensorflow_2_11_and_later() -> None:
    config = {"name": "Adam", "weight_decay": None, "clipnorm": None, "global_clipnorm": None, "clipvalue": None,
              "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None, "jit_compile": True,
              "is_legacy_optimizer": False, "learning_rate": 0.25, "beta_1": 0.9, "beta_2": 0.999,
              "epsilon": 1e-7, "amsgrad": False}  # fmt: skip
    made = training.optimizer({"class_name": "Custom>Adam", "config": config}, context("2.14.0"))
    assert float(keras.optimizers.deserialize(made).learning_rate) == 0.25
    inner = {"initial_learning_rate": 0.5, "decay_steps": 2, "decay_rate": 0.5, "staircase": False, "name": None}
    schedule = {"class_name": "ExponentialDecay", "config": inner}
    made = training.optimizer({"class_name": "SGD", "config": {"learning_rate": schedule}}, context())
    assert float(keras.optimizers.deserialize(made)._learning_rate(2)) == 0.25
    scaled = {"class_name": "LossScaleOptimizer", "config": {
        "inner_optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.5}}, "dynamic": True,
        "initial_scale": 1024.0, "dynamic_growth_steps": 7}}  # fmt: skip
    optimizer = keras.optimizers.deserialize(training.optimizer(scaled, context()))
    assert optimizer.initial_scale == 1024.0 and optimizer.dynamic_growth_steps == 7


def test_an_optimizer_without_equal_leaves_the_model_uncompiled(tmp_path: Path) -> None:
    with pytest.raises(UpgradeError, match="clipping of SGD"):
        training.optimizer({"class_name": "SGD", "config": {"clipnorm": 0.5, "clipvalue": 0.5}}, context())
    path = saved(net(), tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.4.0"
        text = file.attrs["training_config"]
        changed = re.sub(r'"(clipnorm|clipvalue)": null', r'"\1": 0.5', text)
        assert changed.count(": 0.5") == 2
        file.attrs["training_config"] = changed
    with pytest.warns(UserWarning, match="not compiled: clipping of Adam"):
        assert not kio.load_model(path).compiled


LOSSES: list[tuple[Any, Any]] = [
    ("mse", "mse"),
    ("MSE", "mse"),
    ("logcosh", "log_cosh"),
    ("cosine_proximity", "cosine_similarity"),
    ({"class_name": "MeanSquaredError", "config": {"reduction": "auto", "name": "l", "fn": "mean_squared_error"}},
     {"reduction": "sum_over_batch_size", "name": "l"}),
    ({"class_name": "Huber", "config": {"reduction": "sum", "name": "h", "delta": 2.0}},
     {"reduction": "sum", "name": "h", "delta": 2.0}),
    ({"class_name": "function", "config": "mse", "module": "builtins"}, "mse"),
]  # fmt: skip


@pytest.mark.parametrize("case", LOSSES, ids=[str(i) for i in range(len(LOSSES))])
def test_losses(case: tuple[Any, Any]) -> None:
    stored, today = case
    made = training.loss(copy.deepcopy(stored), context())
    assert (made if isinstance(made, str) else made["config"]) == today
    assert callable(keras.losses.get(made))


def test_metrics() -> None:
    wrapped = {"class_name": "MeanMetricWrapper", "config": {"name": "accuracy", "dtype": "float32",
                                                             "fn": "categorical_accuracy"}}  # fmt: skip
    made = training.upgrade(
        {"optimizer_config": {"class_name": "SGD", "config": {"lr": 0.1}}, "loss": "mse", "metrics": [[wrapped]],
         "weighted_metrics": None, "loss_weights": None, "sample_weight_mode": None}, context(),
    )  # fmt: skip
    assert made["metrics"][0]["class_name"] == "CategoricalAccuracy"
    assert made["metrics"][0]["config"]["name"] == "accuracy"
    for name in ("mse", "mean_squared_logarithmic_error", "kullback_leibler_divergence", "binary_accuracy"):
        made = training.metric({"class_name": "MeanMetricWrapper", "config": {"name": "n", "fn": name}}, context())
        assert isinstance(keras.metrics.deserialize(made), keras.metrics.Metric)
    plain = training.upgrade({"optimizer_config": None, "loss": "mse", "metrics": ["mae", "mse", "acc"]}, context(), 2)
    assert plain["metrics"] == [["mae", "mse", "acc"]] * 2


def test_names_that_nobody_knows_are_named(tmp_path: Path) -> None:
    path = saved(net(), tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["training_config"] = file.attrs["training_config"].replace('"mse"', '"mine"')
    with pytest.raises(UnknownClassError, match="mine"):
        kio.load_model(path)

    def mine(y: Any, p: Any) -> Any:
        return keras.ops.mean(keras.ops.square(y - p), axis=-1)

    assert kio.load_model(path, {"mine": mine}).loss is mine
    assert not kio.load_model(path, compile=False).compiled


def test_operations_in_the_legacy_files_of_keras_3(tmp_path: Path) -> None:
    x = keras.Input((4, 3))
    y = keras.ops.relu(x * 2.0 - 1.0) + keras.ops.mean(x, axis=1, keepdims=True)
    y = keras.layers.Multiply()([y, x[:, :, ::1]])
    model = keras.Model(x, keras.layers.Dense(2)(keras.ops.reshape(y, (-1, 12))))
    model.save(tmp_path / "m.h5")
    feed = np.random.RandomState(1).normal(size=(2, 4, 3)).astype("float32")
    made = [np.asarray(keras.ops.convert_to_numpy(m(feed))) for m in (model, kio.load_model(tmp_path / "m.h5"))]
    np.testing.assert_array_equal(made[0], made[1])


@pytest.mark.parametrize("name", ["crossentropy", "ce", "CE"])
def test_what_compile_chooses_by_the_output_stays_a_name(name: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", name, metrics=["acc", "Accuracy"])
    labels = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2, 0, 1]]
    expected = model.evaluate(X, labels, verbose=0)
    kio.save_model(model, tmp_path / "x.h5")
    for path in (tmp_path / "x.h5", saved(model, tmp_path / "y.h5")):
        np.testing.assert_allclose(kio.load_model(path).evaluate(X, labels, verbose=0), expected, rtol=1e-5)
