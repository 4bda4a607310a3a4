"""Models of tf.keras, tf_keras and Keras 3: outputs and further training are the writer's own."""

from __future__ import annotations

import os
import re
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest

keras = pytest.importorskip("keras")

import kio  # noqa: E402
from kio.models.builder.configs import ConfigError  # noqa: E402
from kio.models.eras.upgrade import UpgradeError  # noqa: E402
from tests import lanes  # noqa: E402
from tests.conftest import Legacy  # noqa: E402
from tests.models import continued  # noqa: E402

pytestmark = pytest.mark.keras

CORPUS = Path(__file__).parents[1] / "corpus" / "legacy"
BACKEND = os.environ.get("KERAS_BACKEND", "")

TOLERANCE = 1e-5
# Where float16 is computed in, of outputs and of losses.  TensorFlow up to 2.15 rounds sums of products otherwise:
# from 2.16 on it computes from the same file, loaded by its own Keras, what is found here.
ROUNDED = {("tf-2.", "mixed_precision"): 2 / 2048}
# Words are tensors in TensorFlow only.
WORDS = re.compile(r"text_|string_lookup|hashing")
# Keras makes its layers of these on every backend, but of TensorFlow's functions.
NEEDS_TENSORFLOW = re.compile(r"integer_lookup|hashed_crossing")
# What Keras 3 cannot be told, and why.
NOT_COMPILED = {"opt_legacy_both_clips": "clipping of SGD"}
VERSION = tuple(map(int, keras.__version__.split(".")[:2]))
# What the Keras that reads does otherwise than the one that wrote, until when; nobody can mend its training.
READER: dict[str, tuple[tuple[int, int], str]] = {
    "constrained": ((3, 3), "Keras counts the penalties of weights twice on jax"),
}
# What it cannot build from its own configuration, either.
UNBUILT = {"attention_variants": ((3, 10), "calling MultiHeadAttention")}  # over several axes
# Losses of Keras 3 that its file does not lead to, and why.
WRITER = {
    ("keras-3.0.5", "constrained"): "penalties of weights counted twice, that of activities not in the file",
}
# Keras itself goes on otherwise with the same values assigned by hand; the writer ran on jax.
if BACKEND != "jax":
    WRITER["keras-3.15.1", "opt_schedule_free"] = "ScheduleFreeAdamW trains otherwise on jax than elsewhere"
# What the writer left out of the configuration, so that its own Keras computes something else from the file.
LEFT_OUT = {("tf-2.12.1", "normalization_inverted"): "invert"}
# What TF 2.12 named otherwise where there are several, and does not say the sizes of.
SEVERAL = re.compile(r"(text_counted|text_padded|\w+_several)\Z")
# Keras 3 writes a model of the user's own into legacy HDF5 without what it was built for, and cannot load it.
OWN = {("subclassed", suffix) for suffix in (".h5", ".only.h5")}
# Keras 3 scales the loss when it compiles a model of mixed precision, does not say so in .keras, and does not when
# it compiles what it loaded: a state that it has no use for, as its warning says.
UNSCALED = {("mixed_precision", suffix) for suffix in (".keras", ".weights.h5")}
# Keras 3.2 writes a shared layer's every tensor as one of its first call: what its own Keras computes is wrong.
UNNUMBERED = {("keras-3.2.1", kind) for kind in ("nested", "shared", "shared_model")}
# In the lane ci: the kinds that a backend can have an opinion of, the layouts of every writer.
FEW = re.compile(
    r"(dense|convolutions|recurrent|bidirectional|conv_lstm|attention|nested|normalizations|time_distributed|operators|"
    r"preprocessed|activations|mixed_\w+|text_adapted|text_padded|integer_lookup|discretization_adapted|\w+_several|"
    r"cudnn_\w+|opt_legacy_nadam|opt_legacy_rmsprop|opt_nadam|opt_adafactor|opt_loss_scale|opt_ema|opt_muon)\Z"
)
LAYOUTS = re.compile(
    r"(convolutions|shared_model|nested|custom|subclassed|opt_sgd|opt_loss_scale|opt_adafactor|opt_ema)\Z"
)
# Of every minor release of Keras 3: what was named, numbered or ordered otherwise in some.
MINORS = re.compile(r"(shared_model|opt_ema)\.h5|(nested|opt_nadam|opt_adafactor)\.keras")
# Those of which the layouts are tested, too.
ERAS = {"keras-3.0.5", "keras-3.3.3", "keras-3.6.0", "keras-3.13.2", "keras-3.15.1"}


def chosen(writer: str, kind: str, suffix: str) -> bool:
    """Whether a file is in the lane ``ci``, of which the quick one takes a part."""
    if lanes.lane() == "all":
        return True
    if writer == "tf-2.15.1":
        if BACKEND == "jax":
            return suffix == ".h5" or not kind.startswith("opt_") or bool(FEW.match(kind))
        return suffix in (".h5", ".keras") and bool(FEW.match(kind))
    if writer == "tf-2.12.1" and SEVERAL.match(kind):
        return BACKEND == "tensorflow" or not WORDS.match(kind)
    if BACKEND != "jax":
        return False
    if writer.startswith("keras-3") and writer not in ERAS:
        return bool(MINORS.fullmatch(kind + suffix))
    if writer.startswith("keras-3"):
        return suffix == ".h5" and (bool(LAYOUTS.match(kind)) or kind in ("operators", "opt_nadam"))
    suffixes = (".h5", ".keras", ".weights.h5") if writer in ("tf-2.12.1", "tf_keras-2.21") else (".keras",)
    return bool(LAYOUTS.match(kind)) and suffix in suffixes


@cache
def files() -> list[str]:
    found = []
    for path in sorted(CORPUS.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith(".npz")]
        found += [f"{path.stem}/{name}" for name in names if chosen(path.stem, *continued.split(Path(name)))]
    return found


@pytest.mark.parametrize("name", files())
def test_outputs_and_training_are_the_writers(name: str, legacy: Legacy) -> None:
    path = legacy / name
    kind, suffix = continued.split(path)
    if WORDS.match(kind) and BACKEND != "tensorflow":
        pytest.skip(f"{BACKEND} has no tensors of words")
    if NEEDS_TENSORFLOW.match(kind):
        pytest.importorskip("tensorflow", reason="a layer that Keras makes of TensorFlow's functions")
    if kind == "lambda_layer":
        with pytest.raises(kio.UnsafeError):
            kio.load_model(path if suffix in (".h5", ".keras") else path.with_name(kind + ".h5"))
        if sys.version_info[:2] != (3, 11):
            pytest.skip("bytecode of Python 3.11")
    writer = path.parent.name
    if kind in UNBUILT and UNBUILT[kind][0] > VERSION:
        with pytest.raises(ConfigError, match=UNBUILT[kind][1]):
            continued.outcome(path)
        return
    if (kind, suffix) in OWN and writer.startswith("keras-3"):
        with pytest.raises(kio.MatchError, match="expected weights of layers that are built"):
            continued.outcome(path)
        return
    if (writer, kind) in UNNUMBERED:
        with pytest.raises(UpgradeError, match=r"expected which of \d each tensor comes from"):
            continued.outcome(path)
        return
    if (writer, kind) in LEFT_OUT:
        with kio.open(path if suffix in (".h5", ".keras") else path.with_name(kind + ".h5")) as checkpoint:
            assert LEFT_OUT[writer, kind] not in str(checkpoint.config)
        return
    found = continued.outcome(path)
    tolerance = ROUNDED.get((writer[:5], kind), TOLERANCE)
    assert found.outputs <= tolerance
    if (kind, suffix) in UNSCALED and writer.startswith("keras-3"):
        assert re.search("(?i)optimizer SGD: .*expected 2 stored variables, found 6", found.why), found.why
    elif found.losses is None:
        expected = (*continued.NOTHING, NOT_COMPILED.get(kind, "not compiled"))
        assert any(each in found.why for each in expected), found.why
        assert "not compiled" not in found.why or kind in ("not_compiled", *NOT_COMPILED)
    elif (writer, kind) in WRITER:
        assert found.losses > TOLERANCE, "equal after all: its row may go"
    elif kind not in READER or READER[kind][0] <= VERSION:
        assert found.losses <= tolerance
