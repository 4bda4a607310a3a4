"""Names in files and live models: automatic ones are no evidence, and what a user names must exist.

The oracle is stock Keras on its own formats: what it loads rightly loads with equal values here.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402

import kio  # noqa: E402
from kio.errors import KioError, MatchError, UnknownNameError  # noqa: E402

pytestmark = pytest.mark.keras
FLAT = ("w.npz", "w.safetensors")
STOCK = ("w.h5", "w.weights.h5")


def Dense(units: int = 4, name: str | None = None) -> Any:
    return layers.Dense(units, name=name)


def seq(*members: Any, shape: int = 4) -> Any:
    return keras.Sequential([keras.Input((shape,)), *members])


def values(model: Any) -> list[Any]:
    return [np.asarray(keras.ops.convert_to_numpy(w)) for w in model.weights]


def shaken(model: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    for w in model.weights:
        w.assign(rng.normal(size=w.shape))
    return model


def shared() -> Any:
    x, layer = keras.Input((4,)), Dense()
    return keras.Model(x, Dense()(layer(layer(x))))


def backwards() -> Any:
    """Layers that were made in another order than the model has them."""
    made = [Dense() for _ in range(3)]
    return seq(*made[::-1])


MODELS: dict[str, Callable[[], Any]] = {
    "two": lambda: seq(Dense(), Dense()),
    "three": lambda: seq(Dense(), Dense(), Dense()),
    "unequal": lambda: seq(Dense(4), Dense(5), Dense(3)),
    "tail": lambda: seq(Dense(3), shape=5),
    "backwards": backwards,
    "norms": lambda: seq(Dense(), layers.BatchNormalization(), Dense(), layers.BatchNormalization()),
    "nested": lambda: seq(seq(Dense(), Dense()), Dense()),
    "shared": shared,
    "chosen": lambda: seq(Dense(name="a"), Dense(), Dense(name="c")),
}


def made(kind: str, shift: int) -> Any:
    """A model in a session that has made other layers before."""
    keras.utils.clear_session()
    for i in range(shift):
        Dense()
        if i:
            keras.Sequential([])
    return MODELS[kind]()


def stock(model: Any, path: Path) -> list[Any] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(path)
    except Exception:
        return None
    return values(model)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("names")
    for kind in MODELS:
        (root / kind).mkdir()
        source = shaken(made(kind, 0), 1)
        for name in (*STOCK, *FLAT):
            kio.save_weights(source, root / kind / name)
        kio.save_weights(source, root / kind / "s.weights.h5", max_shard_size=1e-6)
    return {kind: root / kind for kind in MODELS}


@pytest.mark.parametrize("reader", sorted(MODELS))
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_what_stock_loads_loads_equal_and_the_rest_is_refused(files: dict[str, Path], reader: str, shift: int) -> None:
    mine, theirs = made(reader, shift), made(reader, shift)
    for writer, name in itertools.product(sorted(MODELS), STOCK):
        path = files[writer] / name
        expected, before = stock(shaken(theirs, 2), path), values(shaken(mine, 2))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kio.load_weights(mine, path)
        except MatchError:
            # Names that somebody chose: stock does not look at them.
            assert expected is None or "chosen" in (reader, writer), (writer, name)
            expected = before
        assert expected is not None, (writer, name)
        for a, b in zip(values(mine), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shift", [0, 1, 3])
@pytest.mark.parametrize("kind", sorted(set(MODELS) - {"backwards"}))
def test_the_same_model_of_another_session(files: dict[str, Path], kind: str, shift: int) -> None:
    expected = values(shaken(made(kind, 0), 1))
    for name in (*STOCK, *FLAT, "s.weights.json"):
        mine = shaken(made(kind, shift), 2)
        kio.load_weights(mine, files[kind] / name).assert_existing_objects_matched()
        for a, b in zip(values(mine), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["w.h5", *FLAT])
def test_three_layers_do_not_go_into_two(files: dict[str, Path], name: str) -> None:
    """F1: ``dense, dense_1, dense_2`` and ``dense_1, dense_2`` share two names, and no layer by its place."""
    path, source = files["three"] / name, values(shaken(made("three", 0), 1))
    mine = shaken(made("two", 1), 2)
    assert [layer.name for layer in mine.layers] == ["dense_1", "dense_2"]
    before = values(mine)
    with pytest.raises(MatchError) as error:
        kio.load_weights(mine, path)
    assert "by their order: " in str(error.value) and "dense_2 not used" in str(error.value)
    assert "by their names: " in str(error.value) and "dense not used" in str(error.value)
    for a, b in zip(values(mine), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not kio.plan(mine, path).fits and kio.plan(mine, path, partial=True).fits
    # Each hint of the message does what it says.
    with pytest.warns(UserWarning, match="by their names"):
        kio.load_weights(mine, path, partial=True)
    for a, b in zip(values(mine), source[:4], strict=True):
        np.testing.assert_array_equal(a, b)
    kio.load_weights(mine, path, by_name=True)
    for a, b in zip(values(mine), source[2:], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["w.h5", *FLAT])
def test_shapes_tell_which_part_it_is(files: dict[str, Path], name: str) -> None:
    mine = shaken(made("tail", 1), 2)
    with pytest.raises(MatchError, match="not used"):
        kio.load_weights(mine, files["unequal"] / name)
    kio.load_weights(mine, files["unequal"] / name, partial=True)
    for a, b in zip(values(mine), values(shaken(made("unequal", 0), 1))[4:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_shorter_model_takes_its_weights_h5_and_hears_of_the_rest(files: dict[str, Path]) -> None:
    mine = made("two", 1)
    with pytest.warns(UserWarning, match=r"left unused: layers/dense_2/vars/0, layers/dense_2/vars/1"):
        report = kio.load_weights(mine, files["three"] / "w.weights.h5")
    assert report.unexpected == ["layers/dense_2/vars/0", "layers/dense_2/vars/1"]
    kio.load_weights(mine, files["three"] / "w.weights.h5", partial=True)
    kio.load_weights(mine, files["three"] / "w.weights.h5", include="*")


def test_the_state_of_an_optimizer_is_no_surprise(tmp_path: Path) -> None:
    source = made("two", 0)
    source.compile("adam", "mse")
    source.fit(np.ones((2, 4)), np.ones((2, 4)), verbose=0)
    for name in ("w.weights.h5", *FLAT):
        kio.save_weights(source, tmp_path / name)
        mine = made("two", 2)
        report = kio.load_weights(mine, tmp_path / name)
        assert report.unexpected
        for a, b in zip(values(mine), values(source), strict=True):
            np.testing.assert_array_equal(a, b)
    # The slots follow the variables that they are of, in another session, too.
    other = made("two", 2)
    other.compile("adam", "mse")
    other.optimizer.build(other.trainable_variables)
    for name in FLAT:
        kio.load_weights(other, tmp_path / name).assert_consumed()
        for a, b in zip(other.optimizer.variables, source.optimizer.variables, strict=True):
            np.testing.assert_array_equal(a, b)


def test_chosen_names_count_and_automatic_ones_between_them_do_not(tmp_path: Path) -> None:
    keras.utils.clear_session()
    source = shaken(seq(Dense(name="enc"), Dense(), Dense(), Dense(name="head")), 1)
    kio.save_weights(source, tmp_path / "w.h5")
    mine = shaken(seq(Dense(name="enc"), Dense(), Dense(name="head")), 2)
    with pytest.raises(MatchError):
        kio.load_weights(mine, tmp_path / "w.h5")
    with pytest.warns(UserWarning, match="found several"):
        kio.load_weights(mine, tmp_path / "w.h5", partial=True)
    for a, b in zip(values(mine), [values(source)[i] for i in (0, 1, 2, 3, 6, 7)], strict=True):
        np.testing.assert_array_equal(a, b)
    # Without doubt, and without a warning: the file's layers all have names that somebody chose.
    mine = shaken(seq(Dense(name="head"), Dense(5, name="new")), 2)
    kio.load_weights(mine, tmp_path / "w.h5", partial=True, exclude="*/new/*")
    np.testing.assert_array_equal(values(mine)[0], values(source)[6])


def test_layers_of_another_number_that_are_left_out(files: dict[str, Path]) -> None:
    """A new layer in front: what is left is as many as the file has."""
    mine = shaken(seq(Dense(name="new"), Dense(), Dense(), Dense()), 2)
    before = values(mine)
    kio.load_weights(mine, files["three"] / "w.h5", exclude="*/new/*")
    for a, b in zip(values(mine), before[:2] + values(shaken(made("three", 0), 1)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_nested_model_in_another_order_of_its_names_is_two_readings(tmp_path: Path) -> None:
    """The first was made last, or the first was frozen: the file is the same, and stock takes either for one."""
    keras.utils.clear_session()
    first, second = Dense(), Dense()
    source = shaken(seq(seq(second, first)), 1)
    kio.save_weights(source, tmp_path / "w.h5")
    keras.utils.clear_session()
    mine = made("nested", 0).layers[0]
    mine = seq(mine)
    with pytest.raises(MatchError, match="more than one order"):
        kio.load_weights(mine, tmp_path / "w.h5")


def test_variables_without_a_layer(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("kio_names")
    class Scaled(keras.Model):  # type: ignore[misc]
        def __init__(self, scaled: bool = True) -> None:
            super().__init__()
            self.dense = Dense(4)
            self.scale = self.add_weight(shape=(4,), name="scale") if scaled else None

        def call(self, x: Any) -> Any:
            return self.dense(x) if self.scale is None else self.dense(x) * self.scale

    source, mine = Scaled(), Scaled(False)
    for model in (source, mine):
        model(np.zeros((1, 4), "f4"))
    kio.save_weights(source, tmp_path / "w.h5")
    with pytest.raises(MatchError, match="1 of the file's model itself; partial=True"):
        kio.load_weights(mine, tmp_path / "w.h5")
    assert kio.load_weights(mine, tmp_path / "w.h5", partial=True).unexpected


# ------------------------------------------------------------------- what matches nothing


@pytest.mark.parametrize("name", [*STOCK, *FLAT])
def test_what_a_user_names_must_exist(files: dict[str, Path], name: str) -> None:
    path = files["chosen"] / name
    mine = made("chosen", 0)
    where = "a" if name == "w.h5" else "sequential/a" if name in FLAT else "layers/dense"
    for options, says in (
        ({"include": "encoder/*"}, "include: expected a pattern"),
        ({"include": ["*", "sequential/aa/*"]}, "nearest"),
        ({"exclude": "sequential/aa"}, "exclude: expected a pattern"),
        ({"rename": {where + "x": "y"}}, "rename: expected keys"),
        ({"objects_to_skip": [Dense()]}, "objects_to_skip: expected parts of"),
        ({"objects_to_skip": [None]}, "objects_to_skip: expected parts of"),
    ):
        with pytest.raises(MatchError, match=says):
            kio.load_weights(mine, path, **options)
        with pytest.raises(MatchError, match=says):
            kio.plan(mine, path, **options)


def test_what_is_left_out_counts_as_skipped(files: dict[str, Path]) -> None:
    for name in (*STOCK, *FLAT):
        mine = made("chosen", 0)
        report = kio.load_weights(mine, files["chosen"] / name, exclude="sequential/a/*")
        assert (len(report.loaded), len(report.skipped)) == (4, 2), name
        assert report.skipped[0].startswith("sequential/a/kernel: left out")
        with pytest.raises(AssertionError, match="sequential/a/kernel"):
            report.assert_existing_objects_matched()
        assert "2 skipped" in str(report) and report
        report = kio.load_weights(mine, files["chosen"] / name, objects_to_skip=mine.layers[:1])
        assert report.skipped == ["a: one of objects_to_skip"] and not report.unexpected


@pytest.mark.parametrize("name", [*STOCK, *FLAT])
def test_a_skipped_layer_keeps_its_place(files: dict[str, Path], name: str) -> None:
    mine, source = shaken(made("three", 2), 2), values(shaken(made("three", 0), 1))
    before = values(mine)
    kio.load_weights(mine, files["three"] / name, objects_to_skip=mine.layers[:1])
    for a, b in zip(values(mine), before[:2] + source[2:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_loaded_is_not_true(files: dict[str, Path]) -> None:
    mine = made("three", 1)
    report = kio.load_weights(mine, files["three"] / "w.weights.h5", objects_to_skip=mine.layers)
    assert not report and len(report.skipped) == 3
    keras.utils.clear_session()
    with pytest.raises(MatchError, match="by_name: expected at least one layer"):
        kio.load_weights(seq(Dense(name="other")), files["three"] / "w.h5", by_name=True)


def test_a_part_of_a_skipped_object_is_a_part(files: dict[str, Path]) -> None:
    mine = made("nested", 0)
    kio.load_weights(mine, files["nested"] / "w.h5", objects_to_skip=[mine.layers[0], mine.layers[0].layers[0]])
    with pytest.raises(MatchError, match="objects_to_skip"):
        kio.save_weights(mine, files["nested"] / "x.weights.h5", objects_to_skip=[Dense()])


@pytest.mark.parametrize("name", STOCK)
def test_a_renamed_layer_that_the_file_has_not(files: dict[str, Path], name: str) -> None:
    mine = made("chosen", 0)
    rename = {"a": "nobody"} if name == "w.h5" else {"layers/dense": "layers/nobody"}
    with pytest.raises(MatchError, match="missing"):
        kio.load_weights(mine, files["chosen"] / name, rename=rename)
    if name == "w.h5":
        with pytest.raises(MatchError, match="missing"):
            kio.load_weights(mine, files["chosen"] / name, rename=rename, by_name=True)


def test_rename_leaves_the_others_to_their_order(tmp_path: Path) -> None:
    keras.utils.clear_session()
    source = shaken(seq(Dense(name="old"), Dense(), Dense()), 1)
    kio.save_weights(source, tmp_path / "w.h5")
    mine = shaken(seq(Dense(name="new"), Dense(), Dense()), 2)  # dense_2 and dense_3 here
    kio.load_weights(mine, tmp_path / "w.h5", rename={"new": "old"})
    for a, b in zip(values(mine), values(source), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_of_tensors(files: dict[str, Path]) -> None:
    with kio.open(files["chosen"] / "w.weights.h5") as file:
        for call in (
            lambda: file["layers/dens/vars/0"],
            lambda: file.read(["layers/dens/vars/0"]),
            lambda: list(file.stream(["layers/dens/vars/0"])),
            lambda: file.read_shards({"layers/dens/vars/0": (slice(0, 1),)}),
        ):
            with pytest.raises(UnknownNameError, match=r"found 'layers/dens/vars/0' .*nearest: layers/dense/vars/0"):
                call()
        assert issubclass(UnknownNameError, KeyError) and issubclass(UnknownNameError, KioError)
        # A text is one name, not its letters.
        assert list(file.read("layers/dense/vars/0")) == ["layers/dense/vars/0"]
        assert file.get("nobody") is None and "nobody" not in file


def test_convert_renames_something(files: dict[str, Path], tmp_path: Path) -> None:
    source = files["chosen"] / "w.weights.h5"
    with pytest.raises(MatchError, match=r"rename: .*'layers/dnse', .*'layers/dense'"):
        kio.convert(source, tmp_path / "x.safetensors", rename={"layers/dnse": "a"})
    assert not (tmp_path / "x.safetensors").exists()
    kio.convert(source, tmp_path / "x.weights.h5", rename={"layers/dense": "a"})
    with h5py.File(tmp_path / "x.weights.h5") as file:
        assert "a/vars/0" in file and "layers/dense_1/vars/0" in file
