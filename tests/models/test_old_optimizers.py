"""Optimizers of ``kio.layers`` against their formulas, and when an old file gets them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio.layers  # noqa: E402
from kio.mapping import h5_layers, keras_paths  # noqa: E402
from kio.mapping.selection import Selection  # noqa: E402
from kio.models.eras.era import Era  # noqa: E402
from kio.models.eras.rule import Context  # noqa: E402
from kio.models.eras.upgrade import training  # noqa: E402
from kio.models.live import walk  # noqa: E402

pytestmark = pytest.mark.keras

Step = Callable[[Any, int, dict[str, Any]], Any]
EPSILON = 0.01


def rmsprop(g: Any, t: int, state: dict[str, Any]) -> Any:
    state["v"] = 0.9 * state.get("v", 0) + 0.1 * g**2
    return 0.1 * g / (np.sqrt(state["v"]) + EPSILON)


def centered(g: Any, t: int, state: dict[str, Any]) -> Any:
    state["v"] = 0.9 * state.get("v", 0) + 0.1 * g**2
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    return 0.1 * g / (np.sqrt(state["v"] - state["m"] ** 2) + EPSILON)


def adagrad(g: Any, t: int, state: dict[str, Any]) -> Any:
    state["a"] = state.get("a", 0.1) + g**2
    return 0.1 * g / (np.sqrt(state["a"]) + EPSILON)


def nadam(g: Any, t: int, state: dict[str, Any]) -> Any:
    def momentum(step: int) -> float:
        return 0.9 * (1 - 0.5 * 0.96 ** (0.004 * step))

    product = np.prod([momentum(s) for s in range(1, t + 1)])
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g**2
    mean = momentum(t + 1) * state["m"] / (1 - product * momentum(t + 1)) + (1 - momentum(t)) * g / (1 - product)
    return 0.1 * mean / (np.sqrt(state["v"] / (1 - 0.999**t)) + EPSILON)


CASES: dict[str, tuple[Any, Step]] = {
    "RMSprop": (lambda: kio.layers.RMSprop(0.1, epsilon=EPSILON), rmsprop),
    "centered": (lambda: kio.layers.RMSprop(0.1, epsilon=EPSILON, centered=True), centered),
    "Adagrad": (lambda: kio.layers.Adagrad(0.1, epsilon=EPSILON), adagrad),
    "Nadam": (lambda: kio.layers.Nadam(0.1, epsilon=EPSILON, schedule_decay=0.004), nadam),
}


@pytest.mark.parametrize("name", CASES)
def test_steps_are_the_formulas(name: str) -> None:
    make, formula = CASES[name]
    optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(make()))
    start = np.array([0.5, -1.0, 2.0], "float32")
    variable = keras.Variable(start)
    optimizer.build([variable])
    state: dict[str, Any] = {}
    expected = start.astype("float64")
    for t in range(1, 6):
        gradient = np.array([0.003, -0.4, 0.1 * t], "float32")
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        expected = expected - formula(gradient.astype("float64"), t, state)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), expected, rtol=1e-5)


def test_momenta_of_nadam_need_no_more_than_the_number_of_the_step() -> None:
    optimizer = kio.layers.Nadam(0.1)
    optimizer.build([keras.Variable(np.zeros(2, "float32"))])
    assert len(optimizer.variables) == 4
    slow = kio.layers.Nadam(0.1, beta_1=0.999, schedule_decay=0.004)
    slow.build([keras.Variable(np.zeros(2, "float32"))])
    assert slow._products[-1] < 1e-20 and len(slow._products) < 1 << 17


def test_a_schedule_under_decay() -> None:
    schedule = kio.layers.DecayedSchedule(keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.5), 0.25)
    made = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    for step in (0, 1, 4):
        expected = 0.5 * 0.5 ** (step / 2) / (1 + 0.25 * step)
        assert float(made(step)) == pytest.approx(expected, rel=1e-6)


def upgraded(name: str, version: str = "2.4.0", **config: Any) -> dict[str, Any]:
    context = Context(Era.of({"keras_version": version}), lambda name: False)
    return training.optimizer({"class_name": name, "config": config}, context)


def test_who_gets_them() -> None:
    new = {"use_ema": False, "jit_compile": True}
    assert upgraded("RMSprop")["module"] == "kio.layers"
    assert upgraded("RMSprop", momentum=0.5)["module"] == "keras.optimizers"
    assert upgraded("RMSprop", "2.15.0", **new)["module"] == "keras.optimizers"
    assert upgraded("RMSprop", "3.0.0")["module"] == "keras.optimizers"
    assert upgraded("Adagrad", "1.2.0", epsilon=1e-8)["module"] == "kio.layers"
    assert upgraded("Adagrad", "2.15.0", **new)["module"] == "keras.optimizers"
    assert upgraded("Nadam", decay=0.1)["config"]["schedule_decay"] == 0.1
    assert upgraded("Nadam", decay=0.0)["config"]["schedule_decay"] == 0.0
    assert upgraded("Nadam", "2.1.0", lr=0.1)["config"]["schedule_decay"] == 0.004
    assert upgraded("Nadam", "2.15.0", **new)["config"]["schedule_decay"] == 1.0
    assert upgraded("Nadam", "3.1.0")["module"] == "keras.optimizers"


def test_sums_of_squares_began_at_nothing_in_keras_of_many_backends() -> None:
    for version, config in (("1.2.0", {"lr": 0.1}), ("2.3.1", {"learning_rate": 0.1}), ("2.1.6-tf", {"lr": 0.1})):
        made = upgraded("Adagrad", version, epsilon=1e-7, **config)
        assert keras.optimizers.deserialize(made).initial_accumulator_value == 0.0, version
    assert upgraded("Adagrad", initial_accumulator_value=0.5)["config"]["initial_accumulator_value"] == 0.5
    assert keras.optimizers.deserialize(upgraded("Adagrad")).initial_accumulator_value == 0.1


def test_a_fixed_scale_of_the_loss_is_an_argument_of_the_optimizer_inside() -> None:
    inner = {"class_name": "SGD", "config": {"learning_rate": 0.5}}
    made = upgraded("LossScaleOptimizer", inner_optimizer=inner, dynamic=False, initial_scale=8.0)
    assert made["class_name"] == "SGD" and made["config"]["loss_scale_factor"] == 8.0
    older = {"class_name": "FixedLossScale", "config": {"loss_scale_value": 4.0}}
    made = upgraded("LossScaleOptimizer", optimizer=inner, loss_scale=older)
    assert keras.optimizers.deserialize(made).loss_scale_factor == 4.0


LEGACY = Path(__file__).parents[1] / "corpus" / "legacy" / "tf-2.15.1.zip"


def of_corpus(folder: Path, *names: str) -> list[Path]:
    with zipfile.ZipFile(LEGACY) as archive:
        return [Path(archive.extract(name, folder)) for name in names]


def with_plain_sgd(path: Path) -> Any:
    model = kio.load_model(path, compile=False)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize("kind", ["adagrad", "rmsprop", "lion", "sgd_momentum"])
def test_one_slot_a_weight_is_not_yet_an_sgd_without_momentum(kind: str, tmp_path: Path) -> None:
    whole, weights, legacy = of_corpus(
        tmp_path, f"opt_{kind}.keras", f"opt_{kind}.weights.h5", f"opt_{kind}.h5"
    )  # fmt: skip
    model = with_plain_sgd(whole)
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        assert kio.load_weights(model, whole).skipped
    assert int(model.optimizer.iterations) == 0
    # No configuration: the number of steps is taken, and what is left is told.
    report = kio.load_weights(model, weights)
    left = [name for name in report.unexpected if name.startswith("optimizer/")]
    assert left and int(model.optimizer.iterations) > 0
    with kio.open(weights) as checkpoint:
        notes = keras_paths.match(checkpoint, walk.tree(model)).notes
    assert any(f"{len(left)} stored variables are left alone" in note for note in notes)
    with kio.open(legacy) as checkpoint:
        plan = h5_layers.match(checkpoint, walk.tree(model), Selection(whole=True))
        assert any(skipped.what.startswith("optimizer") for skipped in plan.skipped)


def test_unused_momenta_of_sgd_are_let_go(tmp_path: Path) -> None:
    whole, legacy = of_corpus(tmp_path, "opt_sgd.keras", "opt_sgd.h5")
    model = with_plain_sgd(whole)
    report = kio.load_weights(model, whole)
    assert not report.skipped and not report.unexpected
    assert int(model.optimizer.iterations) > 0
    with kio.open(legacy) as checkpoint:
        assert not h5_layers.match(checkpoint, walk.tree(model), Selection(whole=True)).skipped
