"""The private names of Keras: where the table says that they are, and what stands in where they are not.

A name that is gone is made by taking its places away; the public way that takes over must then
give what the private name gives.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from kio import keras_private  # noqa: E402
from kio.keras_private import NEWEST, NIGHTLY, ROOTS, ROWS, Place, Row, UnknownKerasError, resolve, unseen  # noqa: E402

pytestmark = pytest.mark.keras

HERE = tuple(int(part) for part in keras.__version__.split(".")[:2])
BACKEND = keras.config.backend()
AT_HAND = sorted(name for name, row in ROWS.items() if row.backend in ("", BACKEND))
PLACES = [place for name in AT_HAND for place in ROWS[name].places] + [place for place, _ in ROOTS]


def expected(place: Place) -> bool:
    """Whether the Keras at hand has the place, by the table."""
    since, until = re.fullmatch(r"(3\.\d+)(?: on| to (3\.\d+))", place.versions).groups()
    return version(since) <= HERE and (until is None or version(until) >= HERE)


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.module}.{place.name}")
def test_each_place_is_in_the_versions_that_the_table_names(place: Place) -> None:
    if place.module == "keras.src.backend.torch.layer" and BACKEND != "torch":
        pytest.skip("of another backend")
    assert (place.find() is not None) == expected(place)


@pytest.mark.parametrize("name", AT_HAND)
def test_each_row_resolves(name: str) -> None:
    found = resolve(name)
    assert getattr(keras_private, name) is found or not ROWS[name].private()
    assert ROWS[name].why
    if any(map(expected, ROWS[name].places)):
        assert found is ROWS[name].private()


def test_what_has_no_public_way() -> None:
    without = {name for name, row in ROWS.items() if row.public is None}
    assert without == {
        "serialization_lib", "ObjectSharingScope", "get_json_type", "keras_option_scope", "serialize_legacy",
    }  # fmt: skip


def gone(monkeypatch: pytest.MonkeyPatch, name: str) -> object:
    """What takes over where this Keras has no such name."""
    row = dataclasses.replace(ROWS[name], places=(Place("keras.src.gone", "gone"),))
    monkeypatch.setitem(ROWS, name, row)
    return resolve(name)


def test_a_name_that_nothing_stands_in_for_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownKerasError, match=r"expected keras\.src\.gone\.gone, found no such name"):
        gone(monkeypatch, "ObjectSharingScope")


# ------------------------------------------------------------------ each public way beside the private name


@pytest.mark.parametrize("name", ["Functional", "functional", "Trainer", "saving_api", "Variable"])
def test_the_same_object(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    private = resolve(name)
    public = gone(monkeypatch, name)
    if name == "saving_api":
        names = ("load_model", "save_model", "load_weights")
        assert all(getattr(public, each) is getattr(private, each) for each in names if hasattr(public, each))
    elif name == "Variable":
        assert issubclass(public, private)
        assert public is private or HERE < (3, 9)
    else:
        assert public is private


@pytest.mark.torch
@pytest.mark.skipif(BACKEND != "torch", reason="torch's own")
def test_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, device, dtype = resolve("TorchLayer"), resolve("get_device"), resolve("to_torch_dtype")
    assert gone(monkeypatch, "TorchLayer") is layer
    assert gone(monkeypatch, "get_device")() == str(device()) == "cpu"
    public = gone(monkeypatch, "to_torch_dtype")
    for name in ("float32", "bfloat16", "float16", "float64", "int8", "uint8", "int64", "bool", "uint16", "uint32"):
        assert public(name) is dtype(name)


def test_what_is_saveable(monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = resolve("KerasSaveable"), gone(monkeypatch, "KerasSaveable")
    space = keras.utils.FeatureSpace
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    things = [
        keras.layers.Dense(1), model, keras.optimizers.Adam(), keras.metrics.MeanSquaredError(), keras.losses.Huber(),
        keras.Operation(name="op"), space.cross(("a", "b"), 2), space.float(), keras.Variable(1.0), object(),
        keras.initializers.Zeros(), keras.dtype_policies.DTypePolicy("float32"),
    ]  # fmt: skip
    assert [isinstance(each, public) for each in things] == [isinstance(each, private) for each in things]
    assert [isinstance(each, public) for each in things[:5]] == [True] * 5


KINDS = ["Layer", "Functional", "Sequential", "Metric", "Optimizer", "Loss"]
KINDS += ["Operation", "Cross", "Feature"] if HERE >= (3, 6) else []


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_that_are_not_walked(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    private = set(resolve("get_attr_skipset")(kind))
    assert gone(monkeypatch, "get_attr_skipset")(kind) == private
    with pytest.raises(ValueError, match="Elephant"):
        resolve("get_attr_skipset")("Elephant")


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = resolve("to_snake_case"), gone(monkeypatch, "to_snake_case")
    for name in ("Dense", "Conv2DTranspose", "LSTM", "GlobalAveragePooling1D", "my_Layer", "_Hidden", "RMSprop"):
        assert public(name) == private(name)
    assert public("Conv2DTranspose") == "conv2d_transpose"


@pytest.mark.parametrize("public", [False, True])
def test_a_name_that_is_taken_is_not_given_again(public: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    take = gone(monkeypatch, "uniquify") if public else resolve("uniquify")
    keras.backend.clear_session()
    take("concatenate")
    assert keras.layers.Concatenate().name == "concatenate_1"


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("zero", [False, True])
def test_rnn(go_backwards: bool, every: bool, zero: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    x = keras.ops.convert_to_tensor(np.arange(24, dtype="float32").reshape(2, 4, 3))
    mask = keras.ops.convert_to_tensor(np.array([[1, 0, 1, 1], [1, 1, 1, 0]], bool))

    def step(now, states):
        made = now + 2 * states[0]
        return made, [made]

    options = {
        "go_backwards": go_backwards, "mask": mask, "zero_output_for_mask": zero, "input_length": 4,
        "return_all_outputs": every,
    }  # fmt: skip
    first = [keras.ops.ones((2, 3))]
    wanted = resolve("rnn")(step, x, first, **options)
    found = gone(monkeypatch, "rnn")(step, x, first, **options)
    for a, b in zip(wanted[1 if every else 0 : 2 if every else 1], found[1 if every else 0 :], strict=False):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(made[2][0]) for made in (wanted, found)))


def test_shapes_of_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(x, y):
        return keras.ops.matmul(x, y), keras.ops.cast(keras.ops.sum(x, axis=1), "int32")

    specs = keras.KerasTensor((None, 3), "float32"), keras.KerasTensor((3, 5), "float32")
    for name in ("private", "public"):
        way = resolve("compute_output_spec") if name == "private" else gone(monkeypatch, "compute_output_spec")
        product, total = way(run, *specs)
        assert (product.shape, product.dtype, total.shape, total.dtype) == ((None, 5), "float32", (None,), "int32")


def test_registered_names(monkeypatch: pytest.MonkeyPatch) -> None:
    # keras._legacy is no public module: what is in there only tf.keras of old calls by name.
    private = {name: value for name, value in resolve("exported").items() if not name.startswith("keras._legacy.")}
    public = gone(monkeypatch, "exported")
    assert len(private) > 700
    assert {name: public.get(name) is value for name, value in private.items()} == dict.fromkeys(private, True)


def test_functions_of_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = resolve("layer_functions"), gone(monkeypatch, "layer_functions")

    def functions(module):
        return {name for name, value in vars(module).items() if inspect.isfunction(value)}

    assert functions(public) == functions(private) >= {"dot", "add"}


@pytest.mark.parametrize("name", ["losses_by_name", "metrics_by_name"])
def test_short_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = resolve(name), gone(monkeypatch, name)
    for short in ("mse", "MSE", "mae", "kld", "cosine_similarity", "binary_crossentropy", "hinge", "MeanSquaredError"):
        assert public.get(short) is private.get(short)
    assert public.get("elephant") is None is private.get("elephant")


def test_layers_without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    unbuilt, own = resolve("might_have_unbuilt_state"), resolve("is_default")
    fakes = gone(monkeypatch, "might_have_unbuilt_state"), gone(monkeypatch, "is_default")
    outer = keras.layers.TimeDistributed(keras.layers.Dense(1))
    built = keras.layers.TimeDistributed(keras.layers.Dense(1))
    built.build((None, 3, 2))
    assert [fakes[0](outer), fakes[0](built)] == [unbuilt(outer), unbuilt(built)] == [True, False]
    assert fakes[1](keras.layers.Add().build) is own(keras.layers.Add().build)
    assert fakes[1](keras.layers.Flatten().build) is own(keras.layers.Flatten().build) is True


def test_settings_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gone(monkeypatch, "in_safe_mode")() is resolve("in_safe_mode")() is None
    assert gone(monkeypatch, "is_nnx_enabled")() == resolve("is_nnx_enabled")() is False


def test_global_state(monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = resolve("get_global_attribute"), gone(monkeypatch, "get_global_attribute")
    with keras.saving.custom_object_scope({"mine": dict}):
        for get in (private, public):
            assert get("custom_objects_scope_dict").get("mine") is dict
            assert get("custom_objects_scope_dict").get("yours") is None
    with keras.StatelessScope():
        assert private("stateless_scope") is not None
        assert public("stateless_scope") is not None
    assert public("uninitialized_variables") is None
    assert not keras_private.can_defer()
    monkeypatch.undo()
    assert keras_private.can_defer()


def test_question_and_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for ask in (resolve("ask_to_proceed_with_overwrite"), gone(monkeypatch, "ask_to_proceed_with_overwrite")):
        for answers, wanted in (("n\n", False), ("what\ny\n", True)):
            monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
            assert ask("file") is wanted
    capsys.readouterr()
    for say in (resolve("print_msg"), gone(monkeypatch, "print_msg")):
        say("hello")
        assert capsys.readouterr().out == "hello\n"


@pytest.mark.parametrize("root", [row for row in ROOTS if row[1] and expected(row[0])], ids=lambda row: row[0].name)
def test_roots_have_the_public_name_that_the_table_says(root: tuple[Place, str]) -> None:
    found = keras
    for part in root[1].split("."):
        found = getattr(found, part)
    assert issubclass(found, root[0].find())


# ------------------------------------------------------------------ all at once, and a version nobody has seen

NOTHING_PRIVATE = """
import dataclasses, sys, warnings
import numpy as np
import keras
from kio import keras_private as private
for name, row in private.ROWS.items():
    if row.public is not None:
        private.ROWS[name] = dataclasses.replace(row, places=())
import kio, kio.saving
layers = keras.layers.Dense(3, activation="relu"), keras.layers.BatchNormalization()
inner = keras.Sequential([keras.Input((4,)), *layers])
x = keras.Input((4,))
model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Concatenate()([inner(x), x * 2])))
model.compile("adam", "mse", metrics=["mae"])
model.optimizer.build(model.trainable_variables)
for i, variable in enumerate(model.variables):
    if "seed" not in variable.path:
        variable.assign(np.full(variable.shape, i + 1))
data = np.ones((2, 4), "float32")
folder = sys.argv[1]
for name in ("a.keras", "a.h5", "a.weights.h5"):
    path = f"{folder}/{name}"
    if name == "a.weights.h5":
        kio.save_weights(model, path)
        made = keras.models.clone_model(model)
        made.compile("adam", "mse", metrics=["mae"])
        made.optimizer.build(made.trainable_variables)
        assert kio.load_weights(made, path)
    else:
        kio.save_model(model, path)
        made = kio.load_model(path)
    np.testing.assert_array_equal(made.predict(data, verbose=0), model.predict(data, verbose=0))
    for mine, theirs in zip(model.variables, made.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (mine, theirs)))
    assert made.compiled
    old = len(made.optimizer.variables)
    assert old == len(model.optimizer.variables) > 8
with kio.saving.installed():
    keras.saving.load_model(f"{folder}/a.keras")
assert keras.saving.load_model.__module__.startswith("keras.")
print("done")
"""

GONE = """
import dataclasses, sys
import keras
from kio import keras_private as private
row = private.ROWS["ObjectSharingScope"]
private.ROWS["ObjectSharingScope"] = dataclasses.replace(row, places=(private.Place("keras.gone", "x"),))
import kio, kio.saving
path = sys.argv[1] + "/a.keras"
keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(path)
try:
    kio.load_model(path)
except kio.errors.UnsupportedError as error:
    print("refused:", str(error).split(";")[0])
with kio.saving.installed():
    print(len(keras.saving.load_model(path).weights), "loaded by Keras")
"""

UNSEEN = """
import warnings
import keras
keras.__version__ = "3.99.1"
import kio
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    for i in range(2):
        kio.save_weights(model, {path!r})
        kio.load_weights(model, {path!r})
print([(str(each.message).split(":")[0], each.filename) for each in said])
"""


def run(code: str, *args: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_models_are_saved_and_loaded_with_public_names_alone(tmp_path: Path) -> None:
    assert run(NOTHING_PRIVATE, str(tmp_path)).endswith("done")


def test_what_kio_cannot_do_without_a_name_is_left_to_keras(tmp_path: Path) -> None:
    refused, loaded = run(GONE, str(tmp_path)).splitlines()[-2:]
    assert refused.startswith(f"refused: Keras {keras.__version__}: expected keras.gone.x, found no such name")
    assert loaded == "2 loaded by Keras"


def test_a_version_that_kio_has_not_seen_is_told_once(tmp_path: Path) -> None:
    said = run(UNSEEN.format(path=str(tmp_path / "a.weights.h5")))
    assert said == "[('kio was not checked with Keras 3.99.1, only with 3.0 to 3.15', '<string>')]"


@pytest.mark.parametrize("known", ["3.0.0", "3.15.1", "3.15.9", "3.9.0.dev2025010103", NIGHTLY, "3.16.0.dev2026102003"])
def test_versions_that_kio_has_seen(known: str) -> None:
    assert unseen(known) == ""


@pytest.mark.parametrize("unknown", ["3.16.0", "3.16.0.dev2026102705", "3.16.0rc1", "3.17.0.dev2026102003", "4.0", "x"])
def test_versions_that_kio_has_not_seen(unknown: str) -> None:
    assert unseen(unknown).startswith(f"kio was not checked with Keras {unknown}, only with 3.0 to 3.15")
    assert NEWEST == (3, 15)


def test_it_is_keras_that_is_imported_late() -> None:
    assert run("import sys, kio.keras_private; print('keras' in sys.modules)") == "False"
    assert isinstance(keras_private, types.ModuleType)
    with pytest.raises(AttributeError, match="no attribute 'elephant'"):
        _ = keras_private.elephant


def test_a_row_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    row = Row((), "of a test", lambda: asked.append(1) or len)
    monkeypatch.setitem(ROWS, "once", row)
    assert keras_private.once is keras_private.once is len
    assert asked == [1]
    del vars(keras_private)["once"]
