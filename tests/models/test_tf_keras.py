"""``compat="2.15"``: tf.keras and tf_keras load what kio wrote for them, and go on training.

They run in interpreters of their own.  Their paths come from the environment variable
KIO_TF_KERAS_PYTHONS, separated as PATH is; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.errors import UnsupportedError  # noqa: E402
from tests.models import kinds  # noqa: E402
from tests.models.test_compat import feed_of, flat  # noqa: E402
from tests.models.test_save_h5 import state  # noqa: E402

layers = keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]

PYTHONS = [path for path in os.environ.get("KIO_TF_KERAS_PYTHONS", "").split(os.pathsep) if path]
READER = Path(__file__).with_name("legacy_reader.py")
# Those kinds of kinds.py that tf.keras 2 can express.
_COMMON = """
sequential functional multi_input_output shared_layer nested nested_frozen convolutions normalisations lstm
bidirectional stacked_cells conv_lstm time_distributed embedding attention einsum normalization dropout prelu
constrained bfloat16 adam sgd_momentum scheduled ftrl adagrad compiled_crossentropy
"""
# They draw at random while training, or train in bfloat16.
UNTRAINED = {"dropout", "bfloat16", "compiled_crossentropy"}
# Not Nadam: tf.keras leaves its product of momenta out of its own files.
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adam_amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True, clipnorm=1.0),
    "adam_ema": lambda: keras.optimizers.Adam(0.01, use_ema=True),
    "adamax": lambda: keras.optimizers.Adamax(0.01),
    "adadelta": lambda: keras.optimizers.Adadelta(0.5),
    "sgd_plain": lambda: keras.optimizers.SGD(0.05),
}


def twice_nested() -> Any:
    """Nested models that are called more than once, sequential and functional ones."""
    i, j = keras.Input((8,)), keras.Input((8,))
    inner = kinds.chain(layers.Dense(8, activation="silu"), layers.BatchNormalization(), name="first")
    other = keras.Model(j, layers.Dense(8, name="within")(j), name="second")
    x = layers.Add()([inner(i), other(i)])
    y = layers.Multiply()([other(x), inner(x)])
    return keras.Model(i, [layers.Dense(2)(y), other(y), inner(y)])


def states() -> Any:
    """A recurrent layer that goes on from the states of another."""
    i = keras.Input((5, 3))
    x, h, c = layers.LSTM(4, return_sequences=True, return_state=True)(i)
    return keras.Model(i, layers.LSTM(4)(x, initial_state=[h, c]))


def masked() -> Any:
    return kinds.chain(
        layers.Embedding(20, 4, mask_zero=True), layers.GRU(3, reset_after=False), layers.LeakyReLU(0.1), shape=(6,)
    )


OWN = {"twice_nested": twice_nested, "states": states, "masked": masked}


def model_of(name: str) -> Any:
    if name in OPTIMIZERS:
        model = kinds.chain(layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dense(2))
        model.compile(OPTIMIZERS[name](), "mse")
        return model
    model = OWN[name]() if name in OWN else kinds.KINDS[name]()
    if getattr(model, "optimizer", None) is None and name not in UNTRAINED:
        model.compile(keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError(), metrics=[])
    return model


def prepare(name: str, folder: Path) -> dict[str, Any]:
    """Train a little, write, go on: what the other side must come to."""
    model = model_of(name)
    inputs = feed_of(model)
    if name in ("embedding", "masked"):
        inputs = [np.abs(np.round(x * 3)) for x in inputs]
    feed = inputs[0] if len(inputs) == 1 else inputs
    rng = np.random.default_rng(1)
    targets = [rng.normal(size=np.shape(o)).astype("f4") for o in flat(model(feed))]
    goal = targets[0] if len(targets) == 1 else targets
    trained = getattr(model, "optimizer", None) is not None and name not in UNTRAINED
    for _ in range(2 if trained else 0):
        model.train_on_batch(feed, goal)
    kio.save_model(model, folder / f"{name}.h5", compat="2.15")
    kio.save_weights(model, folder / f"{name}.weights.hdf5")
    again = kio.load_model(folder / f"{name}.h5", compile=trained)
    given = {f"input_{k}": x for k, x in enumerate(inputs)}
    np.savez(folder / f"{name}.npz", **given, **({f"target_{k}": t for k, t in enumerate(targets)} if trained else {}))
    values = [np.asarray(keras.ops.convert_to_numpy(o)).astype("f8") for o in flat(model(feed))]
    found = {f"{key}_{k}": value for key in ("output", "order", "name") for k, value in enumerate(values)}
    if name not in UNTRAINED:
        for a, b in zip(flat(again(feed)), values, strict=True):
            assert np.allclose(a, b, rtol=1e-4, atol=1e-5), f"{name}: kio reads it otherwise"
    if trained:
        assert all(map(np.array_equal, state(model.optimizer), state(again.optimizer))), name
        losses = [np.ravel(model.train_on_batch(feed, goal))[0] for _ in range(3)]
        found["losses"] = np.array(losses, "f8")
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not PYTHONS, reason="needs interpreters with tf.keras: KIO_TF_KERAS_PYTHONS")
def test_tf_keras_goes_on(tmp_path: Path) -> None:
    expected = {name: prepare(name, tmp_path) for name in [*_COMMON.split(), *OPTIMIZERS, *OWN]}
    problems = []
    for python in PYTHONS:
        for old in (*tmp_path.glob("*.out.npz"), *tmp_path.glob("*.error")):
            old.unlink()
        environment = {**os.environ, "PYTHONPATH": "", "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            [python, str(READER), str(tmp_path)], capture_output=True, text=True, env=environment, timeout=1200
        )
        assert done.returncode == 0, done.stderr[-2000:]
        version = done.stdout.split("\n")[0]
        problems += [f"{version} {p.stem}: {p.read_text()[-500:]}" for p in sorted(tmp_path.glob("*.error"))]
        for name, wanted in expected.items():
            if (tmp_path / f"{name}.error").exists():
                continue
            with np.load(tmp_path / f"{name}.out.npz") as found:
                for key, value in wanted.items():
                    rtol, atol = (2e-2, 1e-2) if name == "bfloat16" else (1e-5 if key == "losses" else 1e-4, 1e-5)
                    if not np.allclose(found[key], value, rtol=rtol, atol=atol):
                        problems.append(f"{version} {name}: {key} differs: {np.abs(found[key] - value).max()}")
    assert not problems, "\n".join(problems)


# ------------------------------------------------------------------- without tf.keras


def config_of(model: Any, tmp_path: Path) -> Any:
    kio.save_model(model, tmp_path / "x.h5", compat="2.15")
    with kio.open(tmp_path / "x.h5") as found:
        assert found.metadata["keras_version"] == "2.15.0" and found.metadata["backend"] == "tensorflow"
        return json.loads(found.config)["config"]


def test_grammar(tmp_path: Path) -> None:
    config = config_of(twice_nested(), tmp_path)
    named = {layer["name"]: layer for layer in config["layers"]}
    assert next(iter(named.values()))["config"]["batch_input_shape"] == [None, 8]
    first, second = named["first"], named["second"]
    assert [len(call) for call in (first["inbound_nodes"], second["inbound_nodes"])] == [3, 3]
    add = next(layer for layer in config["layers"] if layer["class_name"] == "Add")
    assert add["inbound_nodes"] == [[["first", 1, 0, {}], ["second", 1, 0, {}]]]
    assert config["output_layers"][1:] == [["second", 3, 0], ["first", 3, 0]]
    assert first["config"]["layers"][1]["config"]["activation"] == "swish"
    assert first["config"]["layers"][1]["config"]["dtype"] == "float32"


def test_what_both_know_is_said(tmp_path: Path) -> None:
    """tf.keras's own default is another: "reflect"."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            layers.RandomZoom(0.1, fill_mode="reflect", fill_value=0.5),
        ]
    )
    found = [layer["config"] for layer in config_of(model, tmp_path)["layers"][-2:]]
    assert [(each["fill_mode"], each["fill_value"]) for each in found] == [("constant", 0.0), ("reflect", 0.5)]


def test_nadam_has_no_product_there(tmp_path: Path) -> None:
    """It loads a state only if the file has as many variables as its own: counter and slots."""
    model = kinds.chain(layers.Dense(2), shape=(4,))
    model.compile(keras.optimizers.Nadam(0.01), "mse")
    model.train_on_batch(np.ones((8, 4), "f4"), np.ones((8, 2), "f4"))
    kio.save_model(model, tmp_path / "x.h5", compat="2.15")
    with h5py.File(tmp_path / "x.h5") as file:
        group = file["optimizer_weights"]
        found = [group[name][()] for name in group.attrs["weight_names"]]
    slots = [v for v in model.optimizer.variables if v.path.endswith(("_momentum", "_velocity"))]
    assert len(found) == 5 and int(found[0]) == 1
    assert sorted(a.tobytes() for a in found[1:]) == sorted(np.asarray(v.value).tobytes() for v in slots)


@pytest.mark.parametrize(
    "build, what, since",
    [
        (lambda: layers.Dense(3, activation="hard_sigmoid"), "hard_sigmoid", (3, 0)),
        (lambda: layers.Dense(3, activation="celu"), "celu", (3, 9)),
        (lambda: layers.RMSNormalization(), "RMSNormalization", (3, 9)),
        (lambda: layers.Lambda(lambda x: x), "Lambda", (3, 0)),
        (lambda: layers.LSTM(3, zero_output_for_mask=True), "zero_output_for_mask", (3, 0)),
    ],
)
def test_what_it_cannot_express_is_refused(build: Any, what: str, since: tuple[int, int], tmp_path: Path) -> None:
    if since > kinds.VERSION:
        pytest.skip(f"{what} since {since[0]}.{since[1]}")
    model = kinds.chain(build(), layers.Dense(2, activation="relu6"), shape=(4, 3))
    with pytest.raises(UnsupportedError, match=rf"{what}.*relu6"):
        kio.save_model(model, tmp_path / "x.h5", compat="2.15")
    with pytest.raises(UnsupportedError, match=r"\.h5"):
        kio.save_model(model, tmp_path / "x.keras", compat="2.15")
    assert os.listdir(tmp_path) == []
