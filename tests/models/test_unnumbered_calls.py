"""Files of Keras 3.2, which did not write down which call of a shared layer a tensor comes from."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.models.eras.upgrade import UpgradeError  # noqa: E402

pytestmark = pytest.mark.keras


def written(model: Any) -> bytes:
    """A ``.keras`` of the model as Keras 3.2.1 writes it."""
    file = io.BytesIO()
    kio.save_model(model, file)
    made = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(made, "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "metadata.json":
                content = json.dumps({**json.loads(content), "keras_version": "3.2.1"}).encode()
            elif name == "config.json":
                content = json.dumps(json.loads(content, object_hook=unnumbered)).encode()
            other.writestr(name, content)
    return made.getvalue()


def unnumbered(node: dict[str, Any]) -> dict[str, Any]:
    if "keras_history" in node:
        node["keras_history"][1] = 0
    return node


def chain(layer: Any, x: Any) -> Any:
    return keras.layers.Dense(2)(layer(layer(layer(x))))


def outputs(layer: Any, x: Any) -> Any:
    return [layer(x), layer(layer(x))]


def one_call(layer: Any, x: Any) -> Any:
    return [layer(x), keras.layers.Dense(2)(layer(x * 2.0))]


@pytest.mark.parametrize("build", [chain, outputs, one_call])
def test_only_one_numbering_agrees(build: Callable[..., Any]) -> None:
    x = keras.Input((3,))
    model = keras.Model(x, build(keras.layers.Dense(3), x))
    data = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    loaded = kio.load_model(written(model))
    for a, b in zip(keras.tree.flatten(loaded(data)), keras.tree.flatten(model(data)), strict=True):
        np.testing.assert_allclose(*(keras.ops.convert_to_numpy(each) for each in (a, b)), rtol=1e-6)


def test_two_numberings_are_refused() -> None:
    x, y = keras.Input((3,)), keras.Input((3,))
    layer = keras.layers.Dense(3, name="twice")
    model = keras.Model([x, y], keras.layers.Subtract()([layer(x), layer(y)]))
    with pytest.raises(UpgradeError, match=r"calls of twice: expected which of 2 each .*kio\.load_weights"):
        kio.load_model(written(model))


def test_what_is_written_down_is_left_alone() -> None:
    x, y = keras.Input((3,)), keras.Input((3,))
    layer = keras.layers.Dense(3)
    model = keras.Model([x, y], keras.layers.Subtract()([layer(x), layer(y)]))
    file = io.BytesIO()
    kio.save_model(model, file, compat="3.2")
    data = [np.random.default_rng(i).normal(size=(4, 3)).astype("float32") for i in range(2)]
    found, expected = (keras.ops.convert_to_numpy(m(data)) for m in (kio.load_model(file.getvalue()), model))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
