"""Legacy HDF5 into live models: equal to stock Keras where that is right, refused where it guesses."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402
from keras.src.legacy.saving import legacy_h5_format  # noqa: E402

import kio  # noqa: E402
from kio.errors import CorruptError, MatchError  # noqa: E402
from tests.conftest import Legacy  # noqa: E402
from tests.models.kinds import KINDS, NEWEST, VERSION, made  # noqa: E402

pytestmark = pytest.mark.keras

# Kinds that have no layers to count or no weights, or a dtype that the format cannot hold.
UNFIT = {"sequential_unbuilt", "subclassed", "augmentation", "float8", "int8"}


def values(model: Any) -> list[Any]:
    return [keras.ops.convert_to_numpy(w) for w in model.weights]


def write(model: Any, path: Path) -> Path:
    try:
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    except ValueError as error:
        # Until 3.2 weights were called by their own names alone, and two layers of a nested model both have a kernel.
        if VERSION < (3, 3) and "name already exists" in str(error):
            pytest.skip(f"stock cannot write it: {error}")
        raise
    return path


def shaken(model: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    for w in model.weights:
        w.assign(rng.normal(size=w.shape) if "float" in w.dtype else rng.integers(0, 2, w.shape))
    return model


def pair(build: Callable[[], Any]) -> tuple[Any, Any]:
    """Two models of one code, named alike as in two sessions."""
    keras.backend.clear_session()
    one = build()
    keras.backend.clear_session()
    return one, build()


def chain(*members: Any, shape: tuple[int | None, ...] = (3,), **options: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *members], **options)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - UNFIT))
def test_every_kind_equals_stock(kind: str, tmp_path: Path) -> None:
    source = shaken(made(kind), 1)
    try:
        path = write(source, tmp_path / "w.h5")
    except Exception as error:
        if VERSION >= NEWEST:
            raise
        pytest.skip(f"stock cannot write it: {error}")
    mine, stock = shaken(made(kind), 2), shaken(made(kind), 2)
    try:
        with h5py.File(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            legacy_h5_format.load_weights_from_hdf5_group(file, stock)
    except Exception as error:
        if "bfloat16" not in kind:
            if VERSION >= NEWEST:
                raise
            pytest.skip(f"stock cannot read it: {error}")
        stock = source
    report = kio.load_weights(mine, path)
    for a, b in zip(values(mine), values(stock), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not report.missing and not report.mismatched


@pytest.mark.parametrize("how", ["path", "bytes", "file", "h5py", "group"])
def test_every_way_to_hand_it_over(how: str, tmp_path: Path) -> None:
    source, mine = pair(lambda: chain(layers.Dense(4), layers.Dense(2)))
    path = write(shaken(source, 1), tmp_path / "w.h5")
    if how == "path":
        kio.load_weights(mine, path)
    elif how == "bytes":
        kio.load_weights(mine, path.read_bytes())
    elif how == "file":
        kio.load_weights(mine, io.BytesIO(path.read_bytes()))
    elif how == "h5py":
        with h5py.File(path) as file:
            kio.load_weights(mine, file)
    else:
        with h5py.File(tmp_path / "outer.h5", "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file.create_group("a/b"), source)
            kio.load_weights(mine, file["a/b"])
    for a, b in zip(values(mine), values(source), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_weights_of_a_whole_model(tmp_path: Path) -> None:
    source, mine = pair(lambda: chain(layers.Dense(4), layers.BatchNormalization(), layers.Dense(2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shaken(source).save(tmp_path / "m.h5")
    kio.load_weights(mine, tmp_path / "m.h5").assert_existing_objects_matched()
    for a, b in zip(values(mine), values(source), strict=True):
        np.testing.assert_array_equal(a, b)


def test_lists_in_pieces(tmp_path: Path) -> None:
    source, mine = pair(lambda: chain(*(layers.Dense(1, name=f"{'long' * 20}_{i}") for i in range(900)), shape=(1,)))
    path = write(shaken(source), tmp_path / "w.h5")
    with h5py.File(path) as file:
        assert "layer_names0" in file.attrs
    kio.load_weights(mine, path)
    for a, b in zip(values(mine), values(source), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("flavour", ["fixed", "ascii", "utf8"])
def test_flavours_of_text(flavour: str, tmp_path: Path) -> None:
    _, mine = pair(lambda: chain(layers.Dense(2, name="größe" if flavour == "utf8" else "dense")))
    kernel, bias = np.ones((3, 2), "f4"), np.full(2, 2, "f4")
    name = "größe" if flavour == "utf8" else "dense"
    kind = {"fixed": "S20", "ascii": h5py.string_dtype("ascii"), "utf8": h5py.string_dtype("utf-8")}[flavour]
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs.create("layer_names", np.array(["empty", name], object if flavour != "fixed" else "S20"), dtype=kind)
        file.create_group("empty").attrs["weight_names"] = []
        group = file.create_group(name)
        group.attrs.create("weight_names", np.array(["d/kernel:0", "d/bias:0"], object), dtype=h5py.string_dtype())
        group["d/kernel:0"], group["d/bias:0"] = kernel, bias
        file.attrs["keras_version"] = "2.4.0"
    kio.load_weights(mine, tmp_path / "w.h5")
    np.testing.assert_array_equal(values(mine)[0], kernel)
    np.testing.assert_array_equal(values(mine)[1], bias)


# ------------------------------------------------------------------------- frozen orders


def nest(*frozen: str, names: tuple[str, ...] = ("p", "q")) -> Any:
    inner = chain(*(layers.Dense(3, name=name) for name in names), name="inner")
    for name in frozen:
        inner.get_layer(name).trainable = False
    return chain(inner, layers.Dense(2, name="head"))


def test_frozen_when_saved_and_free_now_is_told_by_the_names(tmp_path: Path) -> None:
    source, mine = shaken(nest("p")), nest()
    path = write(source, tmp_path / "w.h5")
    kio.load_weights(mine, path)
    for a, b in zip(values(mine), values(source), strict=True):
        np.testing.assert_array_equal(a, b)


def test_frozen_now_and_free_when_saved(tmp_path: Path) -> None:
    source, mine = shaken(nest()), nest("p")
    kio.load_weights(mine, write(source, tmp_path / "w.h5"))
    for a, b in zip(values(mine), values(source), strict=True):
        np.testing.assert_array_equal(a, b)


def test_orders_that_no_name_tells_apart_are_refused(tmp_path: Path) -> None:
    path = write(shaken(nest(names=("r", "s"))), tmp_path / "w.h5")
    mine = nest("p")
    before = values(mine)
    with pytest.raises(MatchError, match="more than one order"):
        kio.load_weights(mine, path)
    for a, b in zip(values(mine), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_numbers_of_automatic_names_tell_that_something_was_frozen(tmp_path: Path) -> None:
    path = write(shaken(nest("dense_7", names=("dense_7", "dense_8"))), tmp_path / "w.h5")
    with pytest.raises(MatchError, match="more than one order"):
        kio.load_weights(nest(names=("dense_1", "dense_2")), path)
    other = shaken(nest(names=("dense_7", "dense_8")))
    mine = nest(names=("dense_1", "dense_2"))
    kio.load_weights(mine, write(other, tmp_path / "v.h5"))
    for a, b in zip(values(mine), values(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batch_normalization_in_a_nested_model(tmp_path: Path) -> None:
    def build() -> Any:
        inner = chain(layers.Dense(3), layers.BatchNormalization(), layers.Dense(3), layers.BatchNormalization())
        return chain(inner, layers.Dense(2))

    source, mine = pair(build)
    source.layers[0].layers[1].trainable = False
    path = write(shaken(source), tmp_path / "w.h5")
    kio.load_weights(mine, path)
    for a, b in zip(values(mine), values(source), strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------- layers by name, place


def test_layers_that_swapped_their_places_are_found_by_name(tmp_path: Path) -> None:
    path = write(shaken(chain(layers.Dense(3, name="enc"), layers.Dense(3, name="dec"))), tmp_path / "w.h5")
    mine = chain(layers.Dense(3, name="dec"), layers.Dense(3, name="enc"))
    kio.load_weights(mine, path)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(values(mine)[0], file["dec"][file["dec"].attrs["weight_names"][0]])


def test_a_renamed_layer_is_found_by_its_place_but_not_against_the_names(tmp_path: Path) -> None:
    source = shaken(chain(layers.Dense(3, name="enc"), layers.Dense(3, name="dec")))
    path = write(source, tmp_path / "w.h5")
    mine = chain(layers.Dense(3, name="enc"), layers.Dense(3, name="other"))
    kio.load_weights(mine, path)
    for a, b in zip(values(mine), values(source), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(MatchError, match="elsewhere"):
        kio.load_weights(chain(layers.Dense(3, name="other"), layers.Dense(3, name="enc")), path)


def test_by_name_leaves_others_alone(tmp_path: Path) -> None:
    source = shaken(chain(layers.Dense(3, name="base"), layers.Dense(5, name="head")))
    path = write(source, tmp_path / "w.h5")
    mine = chain(layers.Dense(3, name="base"), layers.Dense(3, name="extra"), layers.Dense(2, name="new"))
    before = values(mine)
    report = kio.load_weights(mine, path, by_name=True)
    np.testing.assert_array_equal(values(mine)[0], values(source)[0])
    np.testing.assert_array_equal(values(mine)[2], before[2])
    assert len(report.skipped) == 2 and len(report.unexpected) == 2


def test_by_name_where_names_had_slashes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"a/1", b"b/1", b"c/d", b"c_d"]
        for i, name in enumerate(("a/1", "b/1", "c/d", "c_d")):
            group = file.create_group(name)
            group.attrs["weight_names"] = [b"kernel:0"]
            group["kernel:0"] = np.full((3, 3), i, "f4")
    layers = [keras.layers.Dense(3, use_bias=False, name=name) for name in ("c_d", "b_1", "a_1")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    report = kio.load_weights(model, path, by_name=True)
    assert len(report.loaded) == 3
    # Keras 3 knows no name with a slash; one that the file has itself is meant first.
    assert [float(keras.ops.convert_to_numpy(layer.kernel)[0, 0]) for layer in layers] == [3, 1, 0]


def test_by_name_of_another_shape_is_refused_or_skipped(tmp_path: Path) -> None:
    path = write(shaken(chain(layers.Dense(3, name="base"), layers.Dense(5, name="head"))), tmp_path / "w.h5")
    mine = chain(layers.Dense(3, name="base"), layers.Dense(2, name="head"))
    before = values(mine)
    with pytest.raises(MatchError, match="head"):
        kio.load_weights(mine, path, by_name=True)
    np.testing.assert_array_equal(values(mine)[0], before[0])
    with pytest.warns(UserWarning, match="left as they were"):
        report = kio.load_weights(mine, path, True, by_name=True)
    assert len(report.mismatched) == 2
    np.testing.assert_array_equal(values(mine)[2], before[2])
    assert not np.array_equal(values(mine)[0], before[0])


def test_another_number_of_layers_is_refused(tmp_path: Path) -> None:
    path = write(chain(layers.Dense(3, name="a"), layers.Dense(3, name="b")), tmp_path / "w.h5")
    with pytest.raises(MatchError, match="missing"):
        kio.load_weights(chain(*(layers.Dense(3, name=n) for n in "abc")), path)


def test_include_rename_and_skipped_objects(tmp_path: Path) -> None:
    source = shaken(chain(layers.Dense(3, name="a"), layers.Dense(3, name="b")))
    path = write(source, tmp_path / "w.h5")
    mine = chain(layers.Dense(3, name="x"), layers.Dense(3, name="b"))
    before = values(mine)
    kio.load_weights(mine, path, rename={"x": "a"}, exclude="*bias")
    np.testing.assert_array_equal(values(mine)[0], values(source)[0])
    np.testing.assert_array_equal(values(mine)[1], before[1])
    mine = chain(layers.Dense(3, name="a"), layers.Dense(3, name="b"))
    before = values(mine)
    kio.load_weights(mine, path, objects_to_skip=[mine.layers[0]])
    np.testing.assert_array_equal(values(mine)[0], before[0])
    np.testing.assert_array_equal(values(mine)[2], values(source)[2])


def test_a_list_that_names_what_is_not_there(tmp_path: Path) -> None:
    path = write(chain(layers.Dense(3, name="a")), tmp_path / "w.h5")
    with h5py.File(path, "r+") as file:
        file["a"].attrs["weight_names"] = [b"x/kernel", b"x/bias"]
    with pytest.raises(CorruptError, match="expected a dataset for each"):
        kio.load_weights(chain(layers.Dense(3, name="a")), path)


class WithOwn(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)
        self.scale = self.add_weight(shape=(2,), name="scale", initializer="ones")

    def call(self, x: Any) -> Any:
        return self.dense(x) * self.scale


def test_variables_of_the_model_itself(tmp_path: Path) -> None:
    source, mine = WithOwn(), WithOwn()
    for model in (source, mine):
        model(np.zeros((1, 3), "f4"))
    kio.load_weights(mine, write(shaken(source), tmp_path / "w.h5"))
    for a, b in zip(values(mine), values(source), strict=True):
        np.testing.assert_array_equal(a, b)


def test_keras_0_counts(tmp_path: Path) -> None:
    mine = chain(layers.Dense(4), layers.Activation("relu"), layers.Dense(2))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=w.shape).astype("f4") for w in mine.weights]
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["nb_layers"] = 3
        for k, some in enumerate([arrays[:2], [], arrays[2:]]):
            group = file.create_group(f"layer_{k}")
            group.attrs["nb_params"] = len(some)
            for p, array in enumerate(some):
                group[f"param_{p}"] = array
    kio.load_weights(mine, tmp_path / "w.h5")
    for a, b in zip(values(mine), arrays, strict=True):
        np.testing.assert_array_equal(a, b)
    with h5py.File(tmp_path / "g.h5", "w") as file:
        group = file.create_group("graph")
        group.attrs["nb_params"] = 4
        for p, array in enumerate(arrays):
            group[f"param_{p}"] = array
    kio.load_weights(shaken(mine), tmp_path / "g.h5")
    for a, b in zip(values(mine), arrays, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_layer_may_call_anything_epsilon() -> None:
    class Shift(layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.epsilon = self.add_weight(shape=shape[-1:], name="epsilon")

        def call(self, x: Any) -> Any:
            return x + self.epsilon

    def model() -> Any:
        return keras.Sequential([keras.Input((4,)), Shift(), layers.Dense(2)])

    source, target = shaken(model()), model()
    file = io.BytesIO()
    with h5py.File(file, "w") as stored:
        legacy_h5_format.save_weights_to_hdf5_group(stored, source)
    kio.load_weights(target, file.getvalue())
    for mine, theirs in zip(values(target), values(source), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_bins_go_to_the_layers_that_learned_them(legacy: Legacy) -> None:
    pytest.importorskip("tensorflow", reason="Keras adapts Discretization with TensorFlow's functions")
    path = legacy / "tf-2.15.1/discretization_several.only.h5"
    x = keras.Input((4,))
    bins = [
        layers.Discretization(num_bins=4),
        layers.Discretization([-0.5, 0.0, 0.3]),
        layers.Discretization(num_bins=3),
    ]

    def model(some: list[Any]) -> Any:
        embedded = [layers.Embedding(6, 3)(layer(x)) for layer in some]
        return keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Concatenate()(embedded))))

    for layer in bins[::2]:
        layer.adapt(np.zeros((2, 4), "float32"))
    kio.load_weights(model(bins), path)
    assert [len(layer.bin_boundaries) for layer in bins] == [3, 3, 2]
    assert bins[0].bin_boundaries != bins[1].bin_boundaries == [-0.5, 0.0, 0.3]
    # One of them has its bins already: two summaries for one layer would be a guess.
    given = [bins[0], bins[1], layers.Discretization([-0.1, 0.1])]
    with pytest.raises(MatchError, match="the model has 1 layers with bins that come from data, the file 2"):
        kio.load_weights(model(given), path)
