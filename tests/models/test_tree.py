"""The tree of a live model against what stock Keras writes."""

from __future__ import annotations

import io
import warnings
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras.src.saving import saving_lib  # noqa: E402

from kio.mapping import keras_paths  # noqa: E402
from kio.models import keras3  # noqa: E402

from . import graphs  # noqa: E402

# Keras itself trips over newer NumPys.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def stock_file(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Key → value, as stock Keras writes the model."""
    file = io.BytesIO()
    store = saving_lib.H5IOStore(file, mode="w")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saving_lib._save_state(model, store, None, "", set())
    found = {}
    store.h5_file.visititems(
        lambda name, item: found.__setitem__(name, np.array(item)) if isinstance(item, h5py.Dataset) else None
    )
    store.close()
    return found


def check(model: Any) -> None:
    graphs.number(model)
    stored = stock_file(model)
    tree = keras3.tree(model)
    names = keras_paths.names(tree)
    custom = [n for n in tree.nodes if n.custom]
    assert not custom
    assert sorted(names.values()) == sorted(stored)
    for leaf, name in names.items():
        assert stored[name].shape == leaf.shape
        value = keras.ops.convert_to_numpy(leaf.handle.value)
        np.testing.assert_array_equal(stored[name], value, err_msg=name)


@pytest.mark.parametrize("seed", range(300))
def test_grown_models_have_the_keys_that_keras_writes(seed: int) -> None:
    check(graphs.grown(seed))
