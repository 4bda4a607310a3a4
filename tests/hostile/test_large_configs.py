"""Configurations that ask for more than any machine has: refused before anything is allocated.

On jax a value too large for its own arithmetic ends the process, not the call.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

pytest.importorskip("keras")

import kio
from kio.errors import LimitError, MatchError
from kio.limits import machine_bytes
from tests.hostile.test_old_configs import layer, sequential

pytestmark = pytest.mark.keras

HUGE = 10**18


def todays(class_name: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "module": module, "registered_name": None, "config": config}


def model(*layers: dict[str, Any], shape: tuple[int, ...] = (4,)) -> dict[str, Any]:
    """A sequential model as Keras 3 describes it."""
    first = todays("InputLayer", batch_shape=[None, *shape], dtype="float32", name="x")
    inner = {"name": "s", "layers": [first, *layers]}
    return {**todays("Sequential", "keras"), "config": inner, "keras_version": "3.15.1"}


# Drawn on the spot, as the order of draws counts.
DRAWN = todays("RandomNormal", "keras.initializers", mean=0.0, stddev=1.0,
               seed=todays("SeedGenerator", "keras.random", seed=1))  # fmt: skip

ASKED: dict[str, dict[str, Any]] = {
    "units": sequential(layer("Dense", units=HUGE)),
    "more bytes than numbers of 64 bits": sequential(layer("Embedding", input_dim=10**15, output_dim=10**6)),
    "more units than that": sequential(layer("Dense", units=10**30)),
    "what a machine might promise": sequential(layer("Dense", units=10**12)),
    "units of today": model(todays("Dense", units=HUGE, name="l")),
    "input": model(todays("Dense", units=4, name="l"), shape=(HUGE,)),
    "norm": model(todays("BatchNormalization", name="l"), shape=(HUGE,)),
    "gates": model(todays("GRU", units=HUGE, name="l"), shape=(4, 4)),
    "inside a wrapper": model(todays("TimeDistributed", layer=todays("Dense", units=HUGE), name="l"), shape=(4, 4)),
    "drawn on the spot": model(todays("Dense", units=HUGE, kernel_initializer=DRAWN, name="l")),
    "many that add up": model(*(todays("Dense", units=10**5, name=f"l{i}") for i in range(2_000))),
}


@pytest.mark.parametrize("name", ASKED)
def test_configuration_alone(name: str) -> None:
    config = ASKED[name]
    with pytest.raises(LimitError, match=r"bytes of variables, found \d+ by .*this machine holds far less"):
        kio.model_from_json(json.dumps(config))
    with pytest.raises(LimitError, match="bytes of variables"):
        kio.model_from_config(config)


def h5(config: dict[str, Any]) -> bytes:
    """A whole-model file whose one layer has a kernel of 4 times 3."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = config.get("keras_version", "2.4.0"), "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = np.array([b"l"])
        group = root.create_group("l")
        group.attrs["weight_names"] = np.array([b"l/kernel:0", b"l/bias:0"])
        group["l/kernel:0"], group["l/bias:0"] = np.ones((4, 3), "float32"), np.zeros(3, "float32")
    return out.getvalue()


def archive(config: dict[str, Any]) -> bytes:
    """The same as ``.keras``."""
    weights, out = io.BytesIO(), io.BytesIO()
    with h5py.File(weights, "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"], group["1"] = np.ones((4, 3), "float32"), np.zeros(3, "float32")
    with zipfile.ZipFile(out, "w") as file_:
        file_.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        file_.writestr("config.json", json.dumps(config))
        file_.writestr("model.weights.h5", weights.getvalue())
    return out.getvalue()


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("write", [h5, archive])
def test_file_that_holds_far_less(name: str, write: Any) -> None:
    with pytest.raises(LimitError, match=r"bytes of variables, found \d+ by .*the file holds far less"):
        kio.load_model(write(ASKED[name]))


@pytest.mark.parametrize("write", [h5, archive])
def test_another_shape_than_the_files(write: Any) -> None:
    """Not too large for anything, but not what the file holds: both shapes are said."""
    with pytest.raises(MatchError, match=r"4, 5000.*4, 3|4, 3.*4, 5000"):
        kio.load_model(write(model(todays("Dense", units=5000, name="l"))))
    loaded = kio.load_model(write(model(todays("Dense", units=3, name="l"))))
    assert loaded.count_params() == 15


def test_limit_is_the_users() -> None:
    config = json.dumps(model(todays("Dense", units=1000, name="l")))
    with pytest.raises(LimitError, match="at most 19999 bytes of variables, found 20000 by"):
        kio.model_from_json(config, limits=kio.Limits(model_bytes=19_999))
    assert kio.model_from_json(config, limits=kio.Limits(model_bytes=20_000)).count_params() == 5000


def test_memory_of_this_machine() -> None:
    assert 1 << 26 < machine_bytes() <= 1 << 46
    if Path("/proc/meminfo").exists():
        total = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
        assert machine_bytes() <= total * 1024
