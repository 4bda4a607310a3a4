"""Layers of Keras 0.3 that its corpus has no file of: upgraded as its source says, and what they then compute.

What they computed is written out here in NumPy.  Theano's convolutions turn the kernel and its
poolings leave out what does not fill a window.  Volumes existed on Theano only.

Spec: ``keras/layers/convolutional.py`` and ``keras/backend/theano_backend.py`` of Keras 0.3.3.
"""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.errors import MatchError  # noqa: E402
from tests.models.test_theano import skip_without_gpu  # noqa: E402

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(0)
VOLUME, IMAGE, SIGNAL = [2, 5, 4, 6], [2, 5, 7], [7, 3]


def model_of(cls: str, shape: list[int], **config: Any) -> Any:
    """A row of one layer, as Keras 0.3 stored it."""
    layer = {"name": cls, "custom_name": "it", "cache_enabled": True, "input_shape": shape, **config}
    return kio.model_from_config({"name": "Sequential", "layers": [layer]})


def computed(model: Any, x: Any) -> Any:
    if keras.backend.backend() == "tensorflow":
        skip_without_gpu(model)
    return keras.ops.convert_to_numpy(model(x, training=False))


def windows(x: Any, sizes: Any, steps: Any, first: int) -> Any:
    """All windows over the axes from ``first`` on; their own axes come last."""
    axes = tuple(range(first, first + len(sizes)))
    found = np.lib.stride_tricks.sliding_window_view(x, sizes, axes)
    return found[(slice(None),) * first + tuple(slice(None, None, step) for step in steps)]


CONV3D = {"nb_filter": 3, "kernel_dim1": 2, "kernel_dim2": 3, "kernel_dim3": 2, "init": "glorot_uniform",
          "activation": "relu", "border_mode": "valid", "W_regularizer": None, "b_regularizer": None,
          "activity_regularizer": None, "W_constraint": None, "b_constraint": None}  # fmt: skip


@pytest.mark.parametrize("ordering", ["th", "tf"])
@pytest.mark.parametrize("subsample", [[1, 1, 1], [2, 1, 3]])
def test_convolution_of_volumes(subsample: list[int], ordering: str) -> None:
    shape = VOLUME if ordering == "th" else [*VOLUME[1:], VOLUME[0]]
    model = model_of("Convolution3D", shape, **CONV3D, subsample=subsample, dim_ordering=ordering)
    # "tf" had its axes at other places; what Theano did with them was the same.
    stored = RNG.normal(size=(3, 2, 2, 3, 2) if ordering == "th" else (2, 3, 2, 2, 3)).astype("float32")
    bias = RNG.normal(size=3).astype("float32")
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["nb_layers"] = 1
        group = file.create_group("layer_0")
        group.attrs["nb_params"] = 2
        group["param_0"], group["param_1"] = stored, bias
    with pytest.raises(MatchError, match="original_backend='theano'"):
        kio.load_weights(model, out.getvalue())
    kio.load_weights(model, out.getvalue(), original_backend="theano")
    kernel = stored if ordering == "th" else stored.transpose(4, 3, 0, 1, 2)
    x = RNG.normal(size=(2, *VOLUME)).astype("float32")
    seen = windows(x, (2, 3, 2), subsample, 2)
    expected = np.einsum("ncxyzijk,ocijk->noxyz", seen, kernel[..., ::-1, ::-1, ::-1])
    expected = np.maximum(expected + bias[:, None, None, None], 0)
    if ordering == "tf":
        x, expected = np.moveaxis(x, 1, -1), np.moveaxis(expected, 1, -1)
    np.testing.assert_allclose(computed(model, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ordering", ["th", "tf"])
@pytest.mark.parametrize("steps", [2, 1, 3])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", ["Max", "Average"])
def test_pooling_of_images_and_volumes(kind: str, dims: int, steps: int, ordering: str) -> None:
    shape = IMAGE if dims == 2 else VOLUME
    strides, last = [steps] * dims, [*shape[1:], shape[0]]
    config = {"pool_size": [2] * dims, "strides": strides, "border_mode": "valid", "dim_ordering": ordering}
    model = model_of(f"{kind}Pooling{dims}D", shape if ordering == "th" else last, **config)
    x = RNG.normal(size=(2, *shape)).astype("float32")
    seen = windows(x, (2,) * dims, strides, 2)
    expected = (np.max if kind == "Max" else np.mean)(seen, axis=tuple(range(-dims, 0)))
    if ordering == "tf":
        x, expected = np.moveaxis(x, 1, -1), np.moveaxis(expected, 1, -1)
    np.testing.assert_allclose(computed(model, x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", ["Max", "Average"])
def test_pooling_of_signals(kind: str, stride: int) -> None:
    model = model_of(f"{kind}Pooling1D", SIGNAL, pool_length=3, stride=stride, border_mode="valid")
    x = RNG.normal(size=(2, *SIGNAL)).astype("float32")
    expected = (np.max if kind == "Max" else np.mean)(windows(x, (3,), (stride,), 1), axis=-1)
    np.testing.assert_allclose(computed(model, x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("cls", "config"), [("UpSampling3D", {"size": [2, 1, 3]}), ("ZeroPadding3D", {"padding": [1, 0, 2]})]
)
def test_volumes_without_an_ordering_are_theanos(cls: str, config: dict[str, Any]) -> None:
    """These two did not store theirs."""
    x = RNG.normal(size=(2, *VOLUME)).astype("float32")
    if cls == "UpSampling3D":
        expected = x.repeat(2, 2).repeat(3, 4)
    else:
        expected = np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0), (2, 2)])
    np.testing.assert_array_equal(computed(model_of(cls, VOLUME, **config), x), expected)
