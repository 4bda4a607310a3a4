"""Models that Keras 0.3, 1.2 and 2.2 wrote on Theano: every kind computes what Theano computed."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio import cli  # noqa: E402
from kio.errors import MatchError, UnsupportedError  # noqa: E402
from tests.conftest import CORPUS  # noqa: E402

pytestmark = pytest.mark.keras


def members(writer: str) -> dict[str, bytes]:
    with zipfile.ZipFile(CORPUS / "theano" / f"{writer}.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


FILES = {writer: members(writer) for writer in ("keras-0.3.3", "keras-1.2.2", "keras-2.2.4")}
CASES = [(writer, name[:-3]) for writer, files in FILES.items() for name in files if name.endswith(".h5")]


def arrays(npz: bytes, letter: str) -> list[Any]:
    with np.load(io.BytesIO(npz)) as stored:
        return [stored[name] for name in sorted(stored.files) if name.startswith(letter)]


def agrees(model: Any, npz: bytes) -> None:
    given, expected = arrays(npz, "x"), arrays(npz, "y")
    if keras.backend.backend() == "tensorflow":
        skip_without_gpu(model)
    found = model(given if len(given) > 1 else given[0], training=False)
    found = found if isinstance(found, (list, tuple)) else [found]
    for mine, theirs in zip(found, expected, strict=True):
        scale = max(float(np.abs(theirs).max()), 1e-6)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(mine), theirs, rtol=0, atol=1e-5 * scale)


def skip_without_gpu(model: Any) -> None:
    """TensorFlow has no such convolution on CPUs."""
    for layer in model._flatten_layers():
        first = getattr(layer, "data_format", None) == "channels_first"
        if first and type(layer).__name__ in ("Conv3D", "Conv2DTranspose", "ConvLSTM2D", "DepthwiseConv2D"):
            pytest.skip("TensorFlow computes channels first on GPUs only")


@pytest.mark.parametrize(("writer", "kind"), CASES)
def test_configuration_and_weights(writer: str, kind: str) -> None:
    files = FILES[writer]
    options = {"original_backend": "theano"} if writer.startswith("keras-0") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kio.model_from_json(files[f"{kind}.json"].decode())
    report = kio.load_weights(model, files[f"{kind}.h5"], **options)
    assert len(report.loaded) == len({id(v) for v in model.weights}) and not report.unexpected
    if any(len(v.shape) > 1 for layer in model.layers for v in layer.weights) and kind != "prelu":
        assert report.plan.rule.endswith("on theano")
    agrees(model, files[f"{kind}.npz"])


@pytest.mark.parametrize(("writer", "kind"), [case for case in CASES if not case[0].startswith("keras-0")])
def test_whole_models(writer: str, kind: str) -> None:
    files = FILES[writer]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kio.load_model(files[f"{kind}.h5"])
    agrees(model, files[f"{kind}.npz"])


def graph() -> tuple[Any, bytes]:
    """Nodes of equal shapes beside each other, in another order than that of their depth."""
    files = FILES["keras-0.3.3"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kio.model_from_json(files["graph_branches.json"].decode()), files["graph_branches.h5"]


def test_the_order_of_a_graph_comes_from_its_configuration() -> None:
    model, file = graph()
    assert model.optimizer is not None and model.output_names == ["n0", "n5", "out", "again"]
    by_name = {layer.name: layer for layer in model.layers}
    with h5py.File(io.BytesIO(file)) as stored:
        kio.load_weights(model, file)
        for i in range(6):
            kernel = keras.ops.convert_to_numpy(by_name[f"n{i}"].kernel)
            np.testing.assert_array_equal(kernel, stored["graph"][f"param_{2 * i}"])
    order = [layer.name for layer in model.layers if layer.weights]
    assert order != sorted(order)


def test_a_graph_without_its_configuration_is_ambiguous() -> None:
    model, file = graph()
    before = [keras.ops.convert_to_numpy(v).copy() for v in model.weights]
    same = keras.Model(model.inputs, model.outputs)
    with pytest.raises(MatchError, match="side by side"):
        kio.load_weights(same, file)
    for old, now in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(now))


def test_what_is_left_alone_in_a_graph() -> None:
    model, file = graph()
    first = next(layer for layer in model.layers if layer.name == "n1")
    before = keras.ops.convert_to_numpy(first.kernel).copy()
    report = kio.load_weights(model, file, objects_to_skip=[first])
    assert len(report.loaded) == 10
    np.testing.assert_array_equal(before, keras.ops.convert_to_numpy(first.kernel))


def test_keras_0_does_not_tell_its_backend() -> None:
    files = FILES["keras-0.3.3"]
    model = kio.model_from_json(files["conv2d_th.json"].decode())
    with pytest.raises(MatchError, match="original_backend='theano' or 'tensorflow'"):
        kio.load_weights(model, files["conv2d_th.h5"])
    kio.load_weights(model, files["conv2d_th.h5"], original_backend="theano")
    agrees(model, files["conv2d_th.npz"])
    # Where nothing is turned nobody is asked.
    dense = kio.model_from_json(files["dense.json"].decode())
    kio.load_weights(dense, files["dense.h5"])
    agrees(dense, files["dense.npz"])


def named(names: list[str], version: str | None = None) -> bytes:
    """Weights of one convolution under these names."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        if version:
            file.attrs["keras_version"] = version
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [name.encode() for name in names]
        group[names[0]] = np.arange(12, dtype="float32").reshape(2, 3, 1, 2)
        group[names[1]] = np.zeros(2, "float32")
    return out.getvalue()


def turned(file: bytes, **options: Any) -> bool:
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, (2, 3), name="conv")])
    kio.load_weights(model, file, **options)
    kernel = keras.ops.convert_to_numpy(model.weights[0])
    assert kernel[0, 0, 0, 0] in (0, 10)
    return bool(kernel[0, 0, 0, 0] == 10)


DOUBT = "does not say on which backend"


@pytest.mark.parametrize(
    ("names", "version", "expected", "doubted"),
    [
        (["conv_W", "conv_b"], None, True, False),
        (["conv_W", "conv_b"], "1.2.2", True, False),
        (["conv_W:0", "conv_b:0"], None, False, False),
        (["conv_W_1:0", "conv_b_1:0"], "1.0.8", False, False),
        (["conv_W", "conv_b:0"], None, False, True),  # they contradict each other
        (["kernel", "bias"], None, False, True),  # nobody's names
        (["param_0", "param_1"], None, False, True),
        (["conv_W", "conv_b"], "2.1.0", False, False),  # Keras 2 says it where it was Theano
    ],
)
def test_names_tell_the_backend_of_keras_1(
    names: list[str], version: str | None, expected: bool, doubted: bool
) -> None:
    file = named(names, version)
    with pytest.warns(UserWarning, match=DOUBT) if doubted else nullcontext():
        assert turned(file) is expected
    assert turned(file, original_backend="theano") is True
    assert turned(file, original_backend="cntk") is False


def test_a_plan_says_what_told_the_backend() -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, (2, 3), name="conv")])
    assert "original_backend='theano'" in str(kio.plan(model, named(["kernel", "bias"])))
    assert "original_backend='tensorflow'" in str(kio.plan(model, named(["conv_W", "conv_b"])))
    for file in (named(["conv_W:0", "conv_b:0"]), named(["conv_W", "conv_b"], "2.1.0")):
        assert "original_backend" not in str(kio.plan(model, file))
    assert "original_backend" not in str(kio.plan(model, named(["kernel", "bias"]), original_backend="theano"))


def whole_model(path: Path, names: list[str]) -> Path:
    """A file of Keras 1.2 whose weights are called like this."""
    layer = {"name": "conv", "nb_filter": 2, "nb_row": 2, "nb_col": 3, "dim_ordering": "tf", "border_mode": "valid"}
    layer |= {"batch_input_shape": [None, 4, 4, 1], "activation": "linear", "subsample": [1, 1], "bias": True}
    config = {"class_name": "Sequential", "config": [{"class_name": "Convolution2D", "config": layer}]}
    with h5py.File(io.BytesIO(named(names))) as weights, h5py.File(path, "w") as whole:
        whole.attrs["model_config"] = json.dumps(config).encode()
        whole.attrs["keras_version"] = "1.2.2"
        weights.copy(weights["/"], whole, "model_weights")
    return path


@pytest.mark.parametrize("backend", [None, "tensorflow", "theano"])
def test_a_whole_model_that_does_not_tell(backend: str | None, tmp_path: Path) -> None:
    file = whole_model(tmp_path / "whole.h5", ["param_0", "param_1"])
    with pytest.warns(UserWarning, match=DOUBT) if backend is None else nullcontext():
        model = kio.load_model(file, original_backend=backend)
    kernel = keras.ops.convert_to_numpy(model.weights[0])
    assert kernel[0, 0, 0, 0] == (10 if backend == "theano" else 0)


@pytest.mark.parametrize("backend", [None, "tensorflow", "theano"])
def test_convert_from_the_command_line(backend: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, target = whole_model(tmp_path / "whole.h5", ["param_0", "param_1"]), tmp_path / "new.keras"
    options = ["--original-backend", backend] if backend else []
    assert cli.main(["convert", str(file), str(target), *options]) == 0
    assert (DOUBT in capsys.readouterr().out) == (backend is None)
    with kio.open(target) as made:
        first = np.asarray(next(each for each in made.values() if len(each.shape) == 4)).flat[0]
    assert first == (10 if backend == "theano" else 0)
    # Where bytes are copied, nothing is turned.
    with pytest.raises(UnsupportedError, match="original_backend: expected None"):
        kio.convert(file, tmp_path / "new.npz", original_backend="theano")
    assert not (tmp_path / "new.npz").exists()


def test_info_says_what_tells_the_backend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for names, expected in (
        (["param_0", "param_1"], "not told; "),
        (["conv_W", "conv_b"], "theano, as the names"),
        (["conv_W:0", "conv_b:0"], "tensorflow, as the names"),
    ):
        file = whole_model(tmp_path / "whole.h5", names)
        assert cli.main(["info", "--json", str(file)]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["written by"] == "Keras 1.2.2" and facts["backend"].startswith(expected)
        (tmp_path / "weights.h5").write_bytes(named(names, "2.1.0"))
        assert cli.main(["info", str(tmp_path / "weights.h5")]) == 0
        assert "\nbackend" not in capsys.readouterr().out


def test_info_of_weights_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "weights.h5").write_bytes(named(["conv_W", "conv_b"]))
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        del file["conv/conv_b"]
    assert cli.main(["info", str(tmp_path / "weights.h5")]) == 0
    assert "not known: weight_names" in capsys.readouterr().out


def test_plan_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = whole_model(tmp_path / "whole.h5", ["param_0", "param_1"])
    for options in ([], ["--original-backend", "theano"]):
        assert cli.main(["plan", str(file), "--model", str(file), *options]) == 0
        assert (DOUBT in capsys.readouterr().out) == (not options)


def test_backends_that_are_none() -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, (2, 3), name="conv")])
    before = keras.ops.convert_to_numpy(model.weights[0]).copy()
    with pytest.raises(MatchError, match="original_backend: expected one of theano"):
        kio.load_weights(model, named(["kernel", "bias"]), original_backend="Theano")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.weights[0]), before)


def test_newer_files_have_no_such_question(tmp_path: Any) -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, (2, 3), name="conv")])
    kio.save_weights(model, tmp_path / "m.weights.h5")
    with pytest.raises(MatchError, match="original_backend: expected a legacy HDF5 file"):
        kio.load_weights(model, tmp_path / "m.weights.h5", original_backend="theano")
