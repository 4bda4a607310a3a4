"""Models of the corpus, loaded and saved again: what comes out is the file that stock Keras wrote.

The corpus of the installed version only: structure changes from version to version.
"""

from __future__ import annotations

import io
import json
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from tests.models.written import structure  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]

FOLDER = Path(__file__).parents[1] / "corpus" / "keras3"
HERE = FOLDER / keras.__version__
FILES = sorted(HERE.glob("*/model.keras"))

# LoRA is merged when saved: what is loaded has the sums, and factors that are zero.
SKIPPED = {"lora", "lora_int8"}
if keras.backend.backend() == "jax":
    SKIPPED |= {"float64", "float64_optimizer"}  # which JAX narrows to float32
# Layers that Keras makes of TensorFlow's functions, whatever the backend.
NEEDS_TENSORFLOW = {"hashing", "jax_layer", "lookup_adapted", "lookup_given", "text_vectorization"}
# What their layers do not take back, from the file that they wrote.
UNLOADED = {"awq", "gptq"}


@pytest.fixture(scope="module", autouse=True)
def classes() -> Iterator[None]:
    sys.path.insert(0, str(FOLDER))
    import custom  # noqa: F401 - registers the custom classes

    yield
    sys.path.remove(str(FOLDER))


def loaded(path: Path) -> Any:
    backend = json.loads((path.parent / "expected.json").read_text()).get("backend", "jax")
    if backend != keras.backend.backend():
        pytest.skip(f"a case of {backend}")
    if path.parent.name in NEEDS_TENSORFLOW:
        pytest.importorskip("tensorflow", reason="a layer that Keras makes of TensorFlow's functions")
    if path.parent.name in UNLOADED:
        with pytest.raises(kio.MatchError, match="load_own_variables"):
            kio.load_model(path, safe_mode=False)
        pytest.skip("Keras does not load its own file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kio.load_model(path, safe_mode=False)


def without_names(found: dict[str, Any]) -> dict[str, Any]:
    """Numbers that a process counts up are not the file's own."""
    return {
        path: ({key: (kind, re.sub(r"_\d+", "", value)) for key, (kind, value) in attributes.items()}, rest)
        if path
        else (attributes, rest)
        for path, (attributes, rest) in found.items()
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_saved_again(path: Path, tmp_path: Path) -> None:
    if path.parent.name in SKIPPED:
        pytest.skip("not the same values")
    model = loaded(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kio.save_model(model, tmp_path / "again.keras")
    with zipfile.ZipFile(path) as stock, zipfile.ZipFile(tmp_path / "again.keras") as ours:
        assert sorted(ours.namelist()) == sorted(stock.namelist())
        for name in stock.namelist():
            if name.startswith("assets/"):
                assert ours.read(name) == stock.read(name)
        a, b = (h5py.File(io.BytesIO(archive.read("model.weights.h5"))) for archive in (stock, ours))
        with a, b:
            expected, found = without_names(structure(a)), without_names(structure(b))
    assert found.keys() == expected.keys()
    for place, entry in expected.items():
        assert found[place] == entry, place
    assert kio.verify(tmp_path / "again.keras")
