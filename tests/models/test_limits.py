"""``limits=`` reaches everything: each field refuses by its name wherever a file is read, and allows when increased."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import kio
from kio.cli import main
from kio.errors import LimitError, UnsupportedError
from kio.limits import DEFAULT
from kio.models.builder.config_text import check_tree, parse_config
from kio.models.info import upgrades

Limits = kio.Limits


def model() -> Any:
    made = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="first"), layers.Dense(4, name="next")], name="m")
    for number, weight in enumerate(made.weights):
        weight.assign(np.full(weight.shape, number))
    return made


def h5(folder: Path) -> Path:
    """A whole model in legacy HDF5, its kernels in four chunks with two filters."""
    path = folder / "m.h5"
    kio.save_model(model(), path)
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if getattr(item, "ndim", 0) == 2 else None)
        for name in found:
            value = file[name][()]
            del file[name]
            file.create_dataset(name, data=value, chunks=(2, 2), shuffle=True, compression="gzip")
    return path


def keras_zip(folder: Path) -> Path:
    """A ``.keras`` whose members are deflated."""
    path = folder / "m.keras"
    kio.save_model(model(), folder / "plain.keras")
    with zipfile.ZipFile(folder / "plain.keras") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return path


# Field -> the file, limits too small for it, limits that just do, and the field that the error names if it is another.
H5: dict[str, tuple[dict[str, int], dict[str, int], str]] = {
    "tensor_bytes": ({"tensor_bytes": 63}, {"tensor_bytes": 64}, ""),
    "tensors": ({"tensors": 3}, {"tensors": 4}, ""),
    "rank": ({"rank": 1}, {"rank": 2}, ""),
    "expansion": ({"expansion": 0, "unbacked_bytes": 0}, {"expansion": 8, "unbacked_bytes": 0}, ""),
    "unbacked_bytes": ({"expansion": 0, "unbacked_bytes": 63}, {"expansion": 0, "unbacked_bytes": 64}, "expansion"),
    "name_bytes": ({"name_bytes": 10}, {"name_bytes": 100}, ""),
    "attribute_bytes": ({"attribute_bytes": 100}, {"attribute_bytes": 100_000}, ""),
    "work_factor": ({"work_factor": 0, "work_bytes": 0}, {"work_factor": 1, "work_bytes": 0}, ""),
    "work_bytes": ({"work_factor": 0, "work_bytes": 99}, {"work_factor": 0, "work_bytes": 99_999}, "work_factor"),
    "chunks": ({"chunks": 3}, {"chunks": 4}, ""),
    "filters": ({"filters": 1}, {"filters": 2}, ""),
    "config_bytes": ({"config_bytes": 100}, {"config_bytes": 10_000}, ""),
}
ZIP: dict[str, tuple[dict[str, int], dict[str, int], str]] = {
    "members": ({"members": 2}, {"members": 3}, ""),
    "spool_bytes": ({"spool_bytes": 100}, {"spool_bytes": 100_000}, ""),
    "spool_expansion": ({"spool_expansion": 1, "unbacked_bytes": 0}, {"spool_expansion": 99, "unbacked_bytes": 0}, ""),
    "config_bytes": ({"config_bytes": 100}, {"config_bytes": 10_000}, ""),
}
# Reached by what is made of a file alone; below.
OF_MODELS = {"config_depth", "config_nodes", "model_bytes"}


def test_every_field_is_here() -> None:
    assert {field.name for field in dataclasses.fields(Limits)} == {*H5, *ZIP, *OF_MODELS}


def opened(path: Path, limits: Any) -> None:
    kio.open(path, limits=limits).close()


def streamed(path: Path, limits: Any) -> None:
    assert list(kio.stream(path, limits=limits))


def verified(path: Path, limits: Any) -> None:
    report = kio.verify(path, limits=limits)
    if not report:
        raise LimitError("; ".join(report.problems), field=next(f for f in OWN if f"kio.Limits({f}=" in str(report)))


OWN = [field.name for field in dataclasses.fields(Limits)]


def compared(path: Path, limits: Any) -> None:
    assert kio.diff(path, path, limits=limits)


def converted(path: Path, limits: Any) -> None:
    kio.convert(path, path.with_name("out.safetensors"), limits=limits)


def filled(path: Path, limits: Any) -> None:
    assert kio.load_weights(model(), path, limits=limits)


def planned(path: Path, limits: Any) -> None:
    assert kio.plan(model(), path, limits=limits).fits


def loaded(path: Path, limits: Any) -> None:
    assert np.all(keras.ops.convert_to_numpy(kio.load_model(path, limits=limits).weights[3]) == 3)


def installed_model(path: Path, limits: Any) -> None:
    with kio.saving.installed():
        assert keras.saving.load_model(path, limits=limits).built


def installed_weights(path: Path, limits: Any) -> None:
    with kio.saving.installed():
        model().load_weights(path, limits=limits)


def drop_in(path: Path, limits: Any) -> None:
    assert kio.saving.load_model(path, limits=limits).built
    assert kio.saving.load_weights(model(), path, limits=limits)


READERS = [
    opened, streamed, verified, compared, converted, filled, planned, loaded, drop_in,
    installed_model, installed_weights,
]  # fmt: skip


def refused(field: str, read: Callable[..., Any], *args: Any) -> None:
    with pytest.raises(LimitError) as caught:
        read(*args)
    assert caught.value.field == field
    assert f"increase the limit: limits=kio.Limits({field}=…)" in str(caught.value)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("kind", "field"), [("h5", field) for field in H5] + [("zip", field) for field in ZIP])
def test_what_reads_a_file(kind: str, field: str, read: Callable[..., Any], tmp_path: Path) -> None:
    path = h5(tmp_path) if kind == "h5" else keras_zip(tmp_path)
    small, enough, named = (H5 if kind == "h5" else ZIP)[field]
    if read is opened and "expansion" in (field, named):
        pytest.skip("what chunks expand to is looked at when they are read")
    refused(named or field, read, path, Limits(**small))
    read(path, Limits(**enough))


@pytest.mark.parametrize("command", ["ls", "info", "cat", "verify", "diff", "convert", "plan"])
def test_the_command_line(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(h5(tmp_path))
    name = "model_weights/first/m/first/kernel"
    rest = {"cat": [name], "diff": [path], "convert": [str(tmp_path / "o.npz")], "plan": ["--model", path]}
    arguments = [command, path, *rest.get(command, [])]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--limit", "chunks=3"]) == 1
    shown = "".join(capsys.readouterr())
    assert "limits.chunks=3" in shown and (command == "verify" or "here: --limit chunks=…" in shown)
    assert main([*arguments, "--limit", "chunks=4", "--limit", "tensor_bytes=1KiB"]) == 0


@pytest.mark.parametrize("wrong", ["chunk=3", "chunks", "chunks=many"])
def test_the_command_line_knows_its_limits(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ls", "x.h5", "--limit", wrong])
    assert caught.value.code == 2
    assert "expected" in capsys.readouterr().err


# ------------------------------------------------------------------- configurations


def deep(levels: int) -> Any:
    """A model in a model in a model."""
    made: Any = layers.Dense(2, name="d")
    for number in range(levels):
        made = keras.Sequential([keras.Input((3,)), made], name=f"s{number}")
    return made


def builders(path: Path, text: str) -> dict[str, Callable[[Any], Any]]:
    def installed(limits: Any) -> None:
        with kio.saving.installed():
            keras.saving.load_model(path, limits=limits)

    return {
        "load_model": lambda limits: kio.load_model(path, limits=limits),
        "unsafe": lambda limits: kio.load_model(path, safe_mode=False, limits=limits),
        "installed": installed,
        "open": lambda limits: loaded_from_open(path, limits),
        "given": lambda limits: given_an_open_one(path, limits),
        "convert": lambda limits: kio.convert(path, path.with_name("out.h5"), limits=limits),
        "model_from_json": lambda limits: kio.model_from_json(text, limits=limits),
        "model_from_config": lambda limits: kio.model_from_config(json.loads(text), limits=limits),
    }


def loaded_from_open(path: Path, limits: Any) -> None:
    """What a checkpoint was opened under holds for the model, too."""
    with kio.open(path, limits=limits) as checkpoint:
        kio.load_model(checkpoint)


def given_an_open_one(path: Path, limits: Any) -> None:
    with kio.open(path) as checkpoint:
        kio.load_model(checkpoint, limits=limits)


BUILDERS = list(builders(Path(), ""))


@pytest.mark.parametrize("how", BUILDERS)
@pytest.mark.parametrize("field", ["config_depth", "config_nodes"])
def test_what_builds_a_model(field: str, how: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    made = deep(3)
    kio.save_model(made, path)
    build = builders(path, made.to_json())[how]
    refused(field, build, Limits(**{field: 5}))
    build(Limits(**{field: 500}))


def test_deeper_than_the_default(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    made = deep(50)
    made.save(path)
    refused("config_depth", kio.load_model, path)
    found = kio.load_model(path, limits=Limits(config_depth=300))
    x = np.ones((2, 3), "f4")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(found(x)), keras.ops.convert_to_numpy(made(x)))


def test_deeper_than_python() -> None:
    text = '{"class_name": "Sequential", "config": {"name": "s", "layers": [' * 400 + "]}}" * 400
    tree: dict[str, Any] = {}
    for _ in range(400):
        tree = {"class_name": "Sequential", "config": {"name": "s", "layers": [tree] if tree else []}}
    for how in (
        lambda limits: kio.model_from_json(text, limits=limits),
        lambda limits: kio.model_from_config(tree, limits=limits),
    ):
        with pytest.raises(UnsupportedError, match=r"nested calls.*sys\.setrecursionlimit"):
            how(Limits(config_depth=100_000))
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # as the hint says; the text has no module, and no layer at its end
    try:
        assert parse_config(text, Limits(config_depth=2000))
        assert kio.model_from_json(text, limits=Limits(config_depth=2000)).layers
    finally:
        sys.setrecursionlimit(before)


def test_trees_that_hold_themselves() -> None:
    loop: dict[str, Any] = {"a": []}
    loop["a"] += [loop, loop]
    refused("config_nodes", check_tree, loop, Limits(config_depth=1000))
    chain: dict[str, Any] = {}
    chain["a"] = chain
    refused("config_depth", check_tree, chain, DEFAULT)
    check_tree({"a": [1, {"b": ()}]}, Limits(config_depth=4, config_nodes=5))
    refused("config_depth", check_tree, {"a": [1, {"b": ()}]}, Limits(config_depth=3))
    refused("config_nodes", check_tree, {"a": [1, {"b": ()}]}, Limits(config_nodes=4))


def test_the_text_of_a_configuration_is_measured_exactly() -> None:
    text = '{"a": [1, {"b": "[[[["}]}'
    assert parse_config(text, Limits(config_depth=3, config_nodes=4)) == {"a": [1, {"b": "[[[["}]}
    refused("config_depth", parse_config, text, Limits(config_depth=2))
    refused("config_nodes", parse_config, text, Limits(config_nodes=2))
    refused("config_bytes", parse_config, text, Limits(config_bytes=len(text) - 1))


@keras.saving.register_keras_serializable("kio_limits")
class Table(layers.Layer):
    """Has variables that are in no file."""

    def build(self, input_shape: Any) -> None:
        self.numbers = self.add_weight(shape=(10_000,), name="numbers")

    def call(self, x: Any) -> Any:
        return x + self.numbers[0]

    def save_own_variables(self, store: Any) -> None:
        store["0"] = np.zeros(2, "f4")

    def load_own_variables(self, store: Any) -> None:
        assert store["0"].shape == (2,)


@pytest.mark.parametrize("how", [how for how in BUILDERS if how != "convert"])
def test_the_size_of_a_model(how: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    made = keras.Sequential([keras.Input((3,)), Table(name="t")], name="m")
    made.save(path)
    build = builders(path, made.to_json())[how]
    refused("model_bytes", build, Limits(model_bytes=30_000))
    build(Limits(model_bytes=40_000))


def test_the_size_of_a_model_that_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((3,)), Table(name="t"), layers.Dense(2)], name="m").save(path)
    refused("model_bytes", lambda: kio.convert(path, tmp_path / "o.keras", compat="3.10", limits=Limits(model_bytes=9)))
    arguments = ["plan", str(path), "--model", str(path), "--limit"]
    assert main([*arguments, "model_bytes=9"]) == 1
    assert "here: --limit model_bytes=…" in capsys.readouterr().err
    assert main([*arguments, "model_bytes=41k"]) == 0


def test_assets(tmp_path: Path) -> None:
    class Words(layers.Layer):
        words = ""

        def call(self, x: Any) -> Any:
            return x

        def save_assets(self, folder: str) -> None:
            Path(folder, "words.txt").write_text("w" * 1000)

        def load_assets(self, folder: str) -> None:
            self.words = Path(folder, "words.txt").read_text()

    path = tmp_path / "m.keras"
    kio.save_model(keras.Sequential([keras.Input((3,)), Words(name="w")]), path)
    for name in ("open", "given", "load_model"):
        build = builders(path, "")[name]
        with keras.saving.custom_object_scope({"Words": Words}):
            refused("spool_bytes", build, Limits(spool_bytes=999))
            build(Limits(spool_bytes=1000))
    assert kio.load_model(path, {"Words": Words}).layers[0].words == "w" * 1000


def old(path: Path) -> Path:
    """A model of Keras 2 without weights, for what ``kio info`` says of it."""
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 2, "batch_input_shape": [None, 3]}}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [dense]}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = b"2.4.0"
        file.create_group("model_weights").attrs["layer_names"] = np.zeros(0, "S1")
    return path


@pytest.mark.parametrize(("field", "small"), [("config_depth", 4), ("config_nodes", 3)])
def test_what_info_says(field: str, small: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = old(tmp_path / "m.h5")
    with kio.open(path, limits=Limits(**{field: small})) as checkpoint:
        assert f"kio.Limits({field}=…)" in upgrades(checkpoint)["refused"]
        assert "refused" not in upgrades(checkpoint, DEFAULT)
    assert main(["info", str(path), "--limit", f"{field}={small}"]) == 1
    assert f"here: --limit {field}=…" in capsys.readouterr().err
    assert main(["info", str(path), "--limit", f"{field}=100"]) == 0
    assert "refused" not in capsys.readouterr().out


def test_shared_nodes_of_the_oldest_models() -> None:
    dense = {"name": "Dense", "output_dim": 2, "activation": "linear"}
    nodes = {f"s{i}": {"name": "Siamese", "layer": dense} for i in range(4)}
    calls = [{"name": "s0", "inputs": ["x", "x"], "merge_mode": None}]
    calls += [{"name": f"s{i}", "inputs": [f"s{i - 1}"] * 2, "merge_mode": None} for i in range(1, 4)]
    from kio.models.eras.upgrade import keras0

    config = {
        "name": "Graph",
        "nodes": nodes,
        "node_config": calls,
        "input_config": [{"name": "x", "input_shape": [2], "dtype": "float"}],
        "output_config": [],
    }
    refused("config_nodes", keras0.convert, config, Limits(config_nodes=29))
    assert keras0.convert(config, Limits(config_nodes=30)).config["config"]["layers"]


def test_no_way_on_is_called_raising() -> None:
    """A limit is increased; what is raised is an error."""
    for path in Path(kio.__file__).parent.rglob("*.py*"):
        if path.suffix in (".py", ".pyx"):
            assert "raise kio.Limits" not in path.read_text(encoding="utf-8"), os.fspath(path)
