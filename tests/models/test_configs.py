"""Configurations: what they may name, what they may not, and what the errors say."""

from __future__ import annotations

import builtins
import copy
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

keras = pytest.importorskip("keras")

from keras.src.saving import serialization_lib  # noqa: E402

from kio.errors import CorruptError, FormatError, KioError, LimitError, UnsafeError  # noqa: E402
from kio.limits import REPEATED_CALLS, Limits  # noqa: E402
from kio.models import allowlist  # noqa: E402
from kio.models.allowlist import UnknownClassError  # noqa: E402
from kio.models.builder.configs import ConfigError, model_from_config, parse_config  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("default")]


@cache
def _plain() -> str:
    inputs = keras.Input((4,), name="in")
    outputs = keras.layers.Dense(3, activation="relu", name="dense")(inputs)
    model = keras.Model(inputs, keras.layers.Dropout(0.5, name="drop")(outputs))
    model.compile("adam", "mse", metrics=["mae"])
    with serialization_lib.ObjectSharingScope():
        text = json.dumps(serialization_lib.serialize_keras_object(model))
    model_from_config(text)  # whatever Keras itself imports late
    return text


def plain() -> dict[str, Any]:
    """The configuration of a compiled Functional model, as stock Keras writes it."""
    made: dict[str, Any] = json.loads(_plain())
    return made


def function(name: str, module: str = "builtins") -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def obj(cls: str, module: str, config: Any = None) -> dict[str, Any]:
    return {"module": module, "class_name": cls, "config": config or {}, "registered_name": cls}


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
HERE = "tests.models.test_configs"

# What a hostile file might name, and the shapes in which it might name it.
GADGETS: dict[str, dict[str, Any]] = {
    "os.system": function("system", "os"),
    "posix.system": function("system", "posix"),
    "eval": function("eval"),
    "exec": function("exec", "builtins"),
    "print": function("print", "builtins"),
    "__import__": function("__import__", "builtins"),
    "this module": function("touched", HERE),
    "class of this module": obj("Touched", HERE),
    "subprocess": obj("Popen", "subprocess", {"args": ["true"]}),
    "builtins type": obj("type", "builtins"),
    "numpy load": function("load", "numpy"),
    "get_file": function("get_file", "keras.utils"),
    "get_file src": function("get_file", "keras.src.utils.file_utils"),
    "load_model": function("load_model", "keras.saving"),
    "load_model models": function("load_model", "keras.models"),
    "model_from_json": function("model_from_json", "keras.models"),
    "load_img": function("load_img", "keras.utils"),
    "unsafe": function("enable_unsafe_deserialization", "keras.config"),
    "unsafe src": function("enable_unsafe_deserialization", "keras.src.saving.serialization_lib"),
    "set_backend": function("set_backend", "keras.config"),
    "deserialize": function("deserialize_keras_object", "keras.saving"),
    "deserialize losses": function("deserialize", "keras.losses"),
    "deserialize builtins": function("deserialize"),
    "get builtins": function("get"),
    "get layers": function("deserialize", "keras.layers"),
    "clear_session": function("clear_session", "keras.utils"),
    "func_load": function("func_load", "keras.src.utils.python_utils"),
    "importlib": function("import_module", "importlib"),
    "importlib through keras": function("import_module", "keras.src.saving.serialization_lib"),
    "module attribute": obj("importlib", "keras.src.saving.serialization_lib"),
    "callback": obj("LambdaCallback", "keras.callbacks"),
    "dataset": obj("PyDataset", "keras.utils"),
    "export": obj("ExportArchive", "keras.export"),
    "file editor": obj("KerasFileEditor", "keras.saving", {"filepath": "x"}),
    "store": obj("H5IOStore", "keras.src.saving.saving_lib", {"root_path": "x"}),
    "distribution": obj("DataParallel", "keras.distribution"),
    "lambda": LAMBDA,
    "lambda layer": obj("Lambda", "keras.layers", {"function": LAMBDA}),
    "old lambda layer": obj(
        "Lambda", "keras.layers", {"function": ["4wEAAAA=", None, None], "function_type": "lambda"}
    ),
    "module-less lambda layer": {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}},
    "TFSMLayer": obj("TFSMLayer", "keras.layers", {"filepath": "x"}),
    "TorchModuleWrapper": obj("TorchModuleWrapper", "keras.layers", {"module": "x"}),
    "not loaded": obj("Thing", "antigravity"),
    "typespec": {
        "class_name": "__typespec__",
        "spec_name": "system",
        "module": "os",
        "config": [],
        "registered_name": None,
    },
    "dunder": obj("__class__", "keras.layers"),
    "number": {"module": "keras.layers", "class_name": 3, "config": {}, "registered_name": None},
    "list": {"module": "keras.layers", "class_name": ["Dense"], "config": {}, "registered_name": None},
    "module number": {"module": 7, "class_name": "Dense", "config": {}, "registered_name": 8},
    "function number": {"module": "builtins", "class_name": "function", "config": 3, "registered_name": None},
}


def layer_of(config: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(x for x in config["config"]["layers"] if x["config"]["name"] == name)
    return found


def as_layer(config: dict[str, Any], gadget: Any) -> None:
    node = layer_of(config, "drop")
    gadget["name"] = "drop"
    gadget["inbound_nodes"] = node["inbound_nodes"]
    index = config["config"]["layers"].index(node)
    config["config"]["layers"][index] = gadget


def as_activation(config: dict[str, Any], gadget: Any) -> None:
    layer_of(config, "dense")["config"]["activation"] = gadget


def as_initializer(config: dict[str, Any], gadget: Any) -> None:
    layer_of(config, "dense")["config"]["kernel_initializer"] = gadget


def as_dtype(config: dict[str, Any], gadget: Any) -> None:
    layer_of(config, "dense")["config"]["dtype"] = gadget


def as_loss(config: dict[str, Any], gadget: Any) -> None:
    config["compile_config"]["loss"] = gadget


def as_metric(config: dict[str, Any], gadget: Any) -> None:
    config["compile_config"]["metrics"] = [[gadget]]


def as_optimizer(config: dict[str, Any], gadget: Any) -> None:
    config["compile_config"]["optimizer"] = gadget


def as_argument(config: dict[str, Any], gadget: Any) -> None:
    layer_of(config, "drop")["inbound_nodes"][0]["args"].append(gadget)


def as_keyword(config: dict[str, Any], gadget: Any) -> None:
    layer_of(config, "drop")["inbound_nodes"][0]["kwargs"]["training"] = {"deep": [gadget]}


def as_build_config(config: dict[str, Any], gadget: Any) -> None:
    layer_of(config, "dense")["build_config"] = {"input_shape": gadget}


def as_root(config: dict[str, Any], gadget: Any) -> None:
    for key in [k for k in config if k not in gadget]:
        del config[key]
    config.update(gadget)


def as_nested_model(config: dict[str, Any], gadget: Any) -> None:
    inner = plain()
    as_activation(inner, gadget)
    inner["compile_config"] = None
    as_layer(config, inner)


PLACES: list[Callable[[dict[str, Any], Any], None]] = [
    as_layer, as_activation, as_initializer, as_dtype, as_loss, as_metric, as_optimizer, as_argument,
    as_keyword, as_build_config, as_root, as_nested_model,
]  # fmt: skip

TOUCHED: list[str] = []


def touched(*args: Any, **options: Any) -> None:
    TOUCHED.append("called")


class Touched(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, *args: Any, **options: Any) -> None:
        TOUCHED.append("made")
        super().__init__(*args, **options)


@pytest.fixture
def no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported that is not loaded, and nothing of this module is called."""
    TOUCHED.clear()
    plain()
    stock_import = builtins.__import__

    def guarded(name: str, *args: Any, **options: Any) -> Any:
        assert name.split(".")[0] not in ("antigravity", "subprocess", "tests"), name
        return stock_import(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", guarded)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("gadget", sorted(GADGETS))
def test_gadget_is_refused(gadget: str, place: Any, no_import: None) -> None:
    config = plain()
    before = set(sys.modules)
    place(config, copy.deepcopy(GADGETS[gadget]))
    with pytest.raises((UnsafeError, FormatError)) as caught:
        model_from_config(config)
    assert len(str(caught.value)) < 2000 and str(caught.value).isprintable()
    assert not TOUCHED and "antigravity" not in sys.modules
    assert not {
        m for m in set(sys.modules) - before if not m.startswith(("keras", "kio", "jax", "torch", "tensorflow"))
    }
    assert serialization_lib._retrieve_class_or_fn is not allowlist._retrieve
    if "lambda" in gadget or gadget in ("TFSMLayer", "TorchModuleWrapper"):
        assert isinstance(caught.value, UnsafeError) and "safe_mode" in str(caught.value)


@pytest.mark.parametrize("place", [as_layer, as_argument, as_keyword], ids=lambda place: place.__name__)
def test_functions_are_no_layers_and_no_arguments(place: Any) -> None:
    config = plain()
    place(config, function("relu", "keras.activations"))
    with pytest.raises(UnsafeError, match="safe_mode"):
        model_from_config(config)


@pytest.mark.parametrize("cls", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_vocabulary_file_is_refused(cls: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a\nb\n")
    config = plain()
    as_layer(config, obj(cls, "keras.layers", {"vocabulary": str(secret)}))
    with pytest.raises(UnsafeError, match="vocabulary"):
        model_from_config(config)


def test_registered_name_does_not_reach_other_tables() -> None:
    config = plain()
    layer_of(config, "dense")["registered_name"] = "os>system"
    assert model_from_config(config).layers[1].__class__ is keras.layers.Dense


def test_safe_mode_off_is_stock() -> None:
    layer = keras.layers.Lambda(lambda x: x * 2, name="double", output_shape=(4,))
    model = keras.Sequential([keras.Input((4,)), layer])
    text = json.dumps(serialization_lib.serialize_keras_object(model))
    with pytest.raises(UnsafeError, match="safe_mode"):
        model_from_config(text)
    made = model_from_config(text, safe_mode=False)
    assert keras.ops.convert_to_numpy(made(keras.ops.ones((1, 4)))).tolist() == [[2, 2, 2, 2]]


def test_unsafe_deserialization_of_the_process_is_honoured() -> None:
    from keras.src.backend.common import global_state

    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1, output_shape=(4,))])
    text = json.dumps(serialization_lib.serialize_keras_object(model))
    keras.config.enable_unsafe_deserialization()
    try:
        assert model_from_config(text).layers
    finally:
        global_state.set_global_attribute("safe_mode_saving", None)
    with pytest.raises(UnsafeError):
        model_from_config(text)


class Doubling(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return x * 2


def doubled(x: Any) -> Any:
    return x * 2


def custom() -> dict[str, Any]:
    model = keras.Sequential([keras.Input((4,)), Doubling(name="mine"), keras.layers.Dense(2, activation=doubled)])
    made: dict[str, Any] = json.loads(json.dumps(serialization_lib.serialize_keras_object(model)))
    return made


def test_unknown_class_says_what_to_do() -> None:
    with pytest.raises(UnknownClassError) as caught:
        model_from_config(custom(), {"doubled": doubled})
    text = str(caught.value)
    assert "Doubling" in text and HERE in text and "custom_objects={'Doubling'" in text
    assert isinstance(caught.value, (TypeError, ValueError)) and isinstance(caught.value, KioError)


def test_all_unknown_names_are_said_at_once() -> None:
    said = r"found 2 others: Doubling, doubled; .*'Doubling': …, 'doubled': …"
    with pytest.raises(UnknownClassError, match=said) as e:
        model_from_config(custom())
    assert e.value.names == ("Doubling", "doubled")
    config = custom()
    layers = config["config"]["layers"]
    layers += [{**layers[1], "class_name": f"C{k}", "registered_name": f"C{k}"} for k in range(5000)]
    with pytest.raises(UnknownClassError) as e:
        model_from_config(config)
    assert len(e.value.names) == 20 and len(str(e.value)) < 2000


def test_what_runs_code_counts_for_more_than_unknown_names() -> None:
    config = custom()
    config["config"]["layers"].append({"class_name": "__lambda__", "config": {}})
    with pytest.raises(UnsafeError):
        model_from_config(config)


def test_custom_objects_by_every_road() -> None:
    objects = {"Doubling": Doubling, "doubled": doubled}
    assert isinstance(model_from_config(custom(), objects).layers[0], Doubling)
    with keras.saving.custom_object_scope(objects):
        assert isinstance(model_from_config(custom()).layers[0], Doubling)
    keras.saving.get_custom_objects().update(objects)
    try:
        assert isinstance(model_from_config(custom()).layers[0], Doubling)
    finally:
        for name in objects:
            del keras.saving.get_custom_objects()[name]
    with pytest.raises(UnknownClassError):
        model_from_config(custom())


def test_registered_classes() -> None:
    @keras.saving.register_keras_serializable("kio_configs")
    class Halving(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x / 2

    model = keras.Sequential([keras.Input((4,)), Halving()])
    text = json.dumps(serialization_lib.serialize_keras_object(model))
    assert type(model_from_config(text).layers[0]) is Halving
    del keras.saving.get_custom_objects()["kio_configs>Halving"]
    with pytest.raises(UnknownClassError, match="kio_configs>Halving"):
        model_from_config(text)
    # by its bare name, too
    assert type(model_from_config(text, {"Halving": Halving}).layers[0]) is Halving


def test_custom_objects_may_replace_nothing_of_the_file() -> None:
    """A dict that only looks like an object inside a custom class's config is left to the class."""

    class Holding(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, labels: Any = None, **options: Any) -> None:
            super().__init__(**options)
            self.labels = labels

        def call(self, x: Any) -> Any:
            return x

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "labels": self.labels}

    labels = {"class_name": "cat", "config": 3}
    model = keras.Sequential([keras.Input((4,)), Holding(labels)])
    config = json.loads(json.dumps(serialization_lib.serialize_keras_object(model)))
    layer = config["config"]["layers"][1]["config"]
    layer["labels"] = labels
    assert model_from_config(config, {"Holding": Holding}).layers[0].labels == labels


def test_compile_false() -> None:
    assert model_from_config(plain()).compiled
    assert not model_from_config(plain(), compile=False).compiled


def test_config_is_not_modified() -> None:
    config = plain()
    before = copy.deepcopy(config)
    model_from_config(config, compile=False)
    assert config == before


def test_broken_configs_are_format_errors() -> None:
    for breakage in (
        lambda c: c["config"].pop("layers"),
        lambda c: layer_of(c, "dense")["config"].update(units="many"),
        lambda c: layer_of(c, "dense")["config"].update(colour="red"),
        lambda c: layer_of(c, "dense").update(inbound_nodes=[]),
        lambda c: layer_of(c, "dense").update(inbound_nodes=7),
        lambda c: layer_of(c, "dense").update(config=None),
        lambda c: c["config"].update(input_layers=[["nowhere", 0, 0]]),
        lambda c: c["config"].update(layers="all"),
        lambda c: c.update(compile_config={"optimizer": "adam", "speed": 9}),
        lambda c: c.update(config=[]),
    ):
        config = plain()
        breakage(config)
        with pytest.raises(FormatError) as caught:
            model_from_config(config)
        assert len(str(caught.value)) < 2000 and "config={" not in str(caught.value)
    assert issubclass(ConfigError, TypeError)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"3", b'"a"', b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"a": 1, "a": 2}',
        b'{"a": NaN}', b'{"a": "\\ud800"}', b'{"a": "\xff"}', "\ufeff{}", b'{"a": 1} x', b"{'a': 1}",
    ],
)  # fmt: skip
def test_strict_json(text: Any) -> None:
    with pytest.raises(CorruptError):
        parse_config(text)


def test_json_that_is_fine() -> None:
    text = json.dumps({"a": float("inf"), "b": "\U0001f600 \\ud", "c": [1, -2.5e3, None, True]})
    assert parse_config(text)["c"] == [1, -2500, None, True]
    assert parse_config(text.encode())["b"] == "\U0001f600 \\ud"


def test_limits() -> None:
    for text, limits in (
        ("[" * 100_000, Limits()),
        ('{"a":' * 500 + "1" + "}" * 500, Limits()),
        ('{"a": [' + "0," * 5000 + "0]}", Limits(config_nodes=1000)),
        (json.dumps({"a": "x" * 2000}), Limits(config_bytes=1000)),
    ):
        with pytest.raises(LimitError):
            model_from_config(text, limits=limits)


def test_hook_is_removed_after_errors_and_nests() -> None:
    stock = serialization_lib._retrieve_class_or_fn
    with pytest.raises(UnknownClassError):
        model_from_config(custom())
    assert serialization_lib._retrieve_class_or_fn is stock
    with allowlist.resolving(allowlist.Resolver()), allowlist.resolving(allowlist.Resolver()):
        assert serialization_lib._retrieve_class_or_fn is not stock
    assert serialization_lib._retrieve_class_or_fn is stock


def test_every_exported_layer_resolves() -> None:
    """The allowlist has all of Keras's own tables, under the names Keras saves them by."""
    missing = []
    for module in (
        "layers",
        "losses",
        "metrics",
        "optimizers",
        "initializers",
        "regularizers",
        "constraints",
    ):
        for name, value in vars(getattr(keras, module)).items():
            if isinstance(value, type) and hasattr(value, "get_config"):
                saved = serialization_lib.serialize_with_public_class(value) or {
                    "class_name": value.__name__, "module": value.__module__,
                }  # fmt: skip
                found = allowlist.builtin_class(saved["class_name"], saved["module"])
                if found is not value:
                    missing.append((module, name, saved))
    assert not missing


class Restless(keras.layers.Layer):
    """Raises what Keras up to 3.13 takes for "not yet", and asks again for."""

    asked = 0

    def call(self, x: Any) -> Any:
        Restless.asked += 1
        raise IndexError("list index out of range")


@pytest.mark.timeout(120)
def test_a_call_that_is_never_ready_is_not_asked_for_ever() -> None:
    inputs = keras.Input((3,))
    config = json.loads(keras.Model(inputs, keras.layers.ReLU(name="r")(inputs)).to_json())
    config["config"]["layers"][1].update(module=None, class_name="Restless", registered_name="Restless")
    config["config"]["layers"][1]["config"] = {"name": "r"}
    Restless.asked = 0
    with pytest.raises(ConfigError):
        model_from_config(json.dumps(config), {"Restless": Restless})
    assert 1 <= Restless.asked <= REPEATED_CALLS


@pytest.mark.parametrize("name", ["Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "Lion", "Nadam", "RMSprop", "SGD"])
def test_optimizers_of_a_backend_are_those_of_keras(name: str) -> None:
    """Keras on torch stores the module of a subclass, which nothing imports in a process that loads."""
    place = f"keras.src.backend.torch.optimizers.torch_{name.lower()}"
    assert allowlist.builtin_class(name, place) is getattr(keras.optimizers, name)
    assert allowlist.builtin_class("Sequential", place) is None


def test_a_model_compiled_on_torch_loads_in_another_process(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "stock.keras")
    with zipfile.ZipFile(tmp_path / "stock.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["compile_config"]["optimizer"]["module"] = "keras.src.backend.torch.optimizers.torch_adam"
    with zipfile.ZipFile(tmp_path / "torch.keras", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else data)
    code = "import sys, kio; m = kio.load_model(sys.argv[1]); print(type(m.optimizer).__name__, m.optimizer.built)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "torch.keras")], capture_output=True, text=True
    )
    assert done.stdout == "Adam True\n", done.stderr
