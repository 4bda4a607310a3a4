"""Every private name of Keras that kio uses: the one module that imports ``keras.src``.

Private names move from release to release.  Each is a row here: where it lives, in which
versions, and the public, slower way where it lives nowhere.  ``from kio.keras_private import
Variable`` looks a row up once, when it is imported; nothing is looked up afterwards.

What a row does not say: a name without a public way raises ``UnknownKerasError``, which tells
what is gone, and ``kio.saving`` then leaves the call to Keras itself.

Keras is imported when the first name is asked for, not with this module.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

from kio.errors import ForeignFormatError

# Where Keras's own code lives; classes of any version say so in ``__module__``.
OWN = "keras.src."
# The newest minor version that kio was checked with, and the newest nightly.
NEWEST = (3, 15)
NIGHTLY = "3.16.0.dev2026102704"


class UnknownKerasError(ForeignFormatError, ImportError):
    """This Keras lacks a private name that nothing public stands in for."""


# ------------------------------------------------------------------ the public ways


def _public(path: str) -> Any:
    """A public object by its path below ``keras``."""
    import keras

    found: Any = keras
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _named(path: str) -> Callable[[], Any]:
    return lambda: _public(path)


def _as_is(found: Any) -> Callable[[], Any]:
    return lambda: found


def _definer(path: str, member: str) -> Callable[[], Any]:
    """The class in the ancestry of a public one that defines a member."""
    return lambda: next(cls for cls in _public(path).__mro__ if member in vars(cls))


def _functional_class() -> type:
    import keras

    one = keras.Input((1,))
    return type(keras.Model(one, one))


def _functional_module() -> ModuleType:
    return sys.modules[_functional_class().__module__]


class _Unknown:
    """Stands for a scope that may be there or not: kio then assigns as if it were."""

    def get_current_value(self, variable: Any) -> Any:
        return None


class _Registered(dict[str, Any]):
    """The names in force, each found by asking for it."""

    def get(self, key: str, default: Any = None) -> Any:
        found = _public("saving.get_registered_object")(key)
        return default if found is None else found


def _get_global(name: str, default: Any = None, set_to_default: bool = False) -> Any:
    if name == "stateless_scope":
        return _Unknown()
    if name == "custom_objects_scope_dict":
        return _Registered()
    if name == "torch_device":
        return _torch_device()
    return default


def _torch_device() -> str:
    return str(_public("ops.convert_to_tensor")(0.0).device)


def _torch_dtype(dtype: str) -> Any:
    return _public("ops.zeros")((), dtype=dtype).dtype


def _compute_output_spec(run: Callable[..., Any], *specs: Any) -> Any:
    import keras

    class Run(keras.Operation):  # type: ignore[misc]
        def call(self, *tensors: Any) -> Any:
            return run(*tensors)

    return Run().compute_output_spec(*specs)


def _rnn(
    step: Callable[..., Any],
    inputs: Any,
    initial_states: Any,
    go_backwards: bool = False,
    mask: Any = None,
    unroll: bool = False,
    input_length: int | None = None,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, Any]:
    """A loop over time steps, by a layer made for it: last output, all of them, states."""
    import keras

    class Cell(keras.Layer):  # type: ignore[misc]
        @property
        def state_size(self) -> list[int]:
            return [int(state.shape[-1]) for state in initial_states]

        def call(self, x: Any, states: Any) -> Any:
            made, new = step(x, states)
            return made, list(new)

    options = {"go_backwards": go_backwards, "unroll": unroll, "zero_output_for_mask": zero_output_for_mask}
    layer = keras.layers.RNN(Cell(), return_sequences=return_all_outputs, return_state=True, **options)
    found, *states = layer(inputs, initial_state=list(initial_states), mask=mask)
    return (found[:, -1], found, states) if return_all_outputs else (found, found[:, None], states)


def _get_mask(x: Any) -> Any:
    return getattr(x, "_keras_mask", None)


def _set_mask(x: Any, mask: Any) -> None:
    x._keras_mask = mask


def _snake_case(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _uniquify(name: str) -> str:
    """Take a name as a new layer does, which numbers itself by its class."""
    import keras

    camel = "".join(part.capitalize() for part in name.split("_"))
    return str(type(camel, (keras.layers.Layer,), {})().name)


def _saveables() -> Any:
    import keras

    optimizer = keras.optimizers.Optimizer.__mro__
    base = [cls for cls in optimizer if "save_own_variables" in vars(cls)][-1]
    found = [keras.Layer, base, keras.metrics.Metric, keras.losses.Loss]
    if hasattr(keras.Layer, "_obj_type"):  # from 3.3 on objects say their kind, and more of them are walked
        space = keras.utils.FeatureSpace
        found += [keras.Operation, type(space.cross(("a", "b"), 1)), type(space.float())]
    return tuple(found)


def _attr_skipset(kind: str) -> set[str]:
    import keras

    layer = [*dir(keras.Layer()), "_self_unconditional_dependency_names"]
    made: dict[str, Callable[[], list[str]]] = {
        "Operation": lambda: dir(keras.Operation()),
        "Layer": lambda: layer,
        "Functional": lambda: [*layer, "operations", "_operations"],
        "Sequential": lambda: [*layer, "_functional"],
        "Metric": lambda: [*dir(keras.metrics.Metric()), *_compiled_metrics()],
        "Optimizer": lambda: [each for each in dir(keras.optimizers.Optimizer(1.0)) if each != "variables"],
        "Loss": lambda: dir(keras.losses.Loss()),
        "Cross": lambda: dir(keras.utils.FeatureSpace.cross(("a", "b"), 1)),
        "Feature": lambda: dir(keras.utils.FeatureSpace.float()),
    }
    if kind not in made:
        raise ValueError(f"no such kind of object: {kind}")
    return {*made[kind](), "_self_unconditional_dependency_names"}


def _compiled_metrics() -> list[str]:
    """What the metrics of a compiled model have."""
    import keras

    model = keras.Sequential([keras.Input((1,))])
    model.compile(loss="mse", metrics=["mae"])
    return dir(model._compile_metrics) if getattr(model, "_compile_metrics", None) is not None else []


def _layer_functions() -> Any:
    return _public("layers")


class _Losses(Mapping[str, Any]):
    """Losses or metrics by every name that their public ``get`` knows."""

    def __init__(self, place: str) -> None:
        self._get = _public(f"{place}.get")

    def __getitem__(self, name: str) -> Any:
        try:
            found = self._get(name)
        except ValueError:
            raise KeyError(name) from None
        return found if inspect.isroutine(found) or inspect.isclass(found) else type(found)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _exported() -> dict[str, Any]:
    """Every public object by its path: a walk over the public modules."""
    import keras

    found: dict[str, Any] = {}
    todo, seen = [("keras", keras)], {id(keras)}
    while todo:
        path, module = todo.pop()
        for name, value in vars(module).items():
            if name.startswith("_") or name in ("src", "api"):
                continue
            if not isinstance(value, ModuleType):
                found[f"{path}.{name}"] = value
            elif value.__name__.startswith("keras.") and id(value) not in seen:
                seen.add(id(value))
                todo.append((f"{path}.{name}", value))
    return found


def _print_msg(message: str, line_break: bool = True) -> None:
    if _public("config.is_interactive_logging_enabled")():
        print(message, end="\n" if line_break else "", flush=True)


def _ask(filepath: Any) -> bool:
    answer = ""
    while answer not in ("y", "n"):
        answer = builtins.input(f"[WARNING] {filepath} already exists - overwrite? [y/n]").strip().lower()
    return answer == "y"


# ------------------------------------------------------------------ the rows


@dataclass(frozen=True)
class Place:
    """Where a name lives.

    Attributes:
        module: Private module.
        name: In it; empty for the module itself.
        versions: Minor versions that have it: ``"3.3 on"`` or ``"3.0 to 3.15"``.
    """

    module: str
    name: str = ""
    versions: str = "3.0 on"

    def find(self) -> Any:
        """What lives there, or None."""
        try:
            module = importlib.import_module(self.module)
        except ImportError:
            return None
        found = getattr(module, self.name, None) if self.name else module
        # Where a function became a module of that name, it is not the function.
        return None if self.name and isinstance(found, ModuleType) else found


@dataclass(frozen=True)
class Row:
    """A private name.

    Attributes:
        places: Newest first.
        why: What kio does with it.
        public: Makes what stands in for it where no place has it; None: nothing does.
        backend: The only backend that has it; empty for all.
    """

    places: tuple[Place, ...]
    why: str
    public: Callable[[], Any] | None = None
    backend: str = ""

    def private(self) -> Any:
        """What this Keras has, or None."""
        return next((found for place in self.places if (found := place.find()) is not None), None)


ROWS: dict[str, Row] = {
    # Variables and their making.
    "Variable": Row(
        (Place("keras.src.backend", "Variable"),),
        "the class of the variables that layers make; up to 3.8 keras.Variable is a subclass of it",
        _named("Variable"),
    ),
    "get_global_attribute": Row(
        (Place("keras.src.backend.common.global_state", "get_global_attribute"),),
        "the scope, the device and the custom objects in force; without it every value is assigned",
        _as_is(_get_global),
    ),
    "set_global_attribute": Row(
        (Place("keras.src.backend.common.global_state", "set_global_attribute"),),
        "defers initialisers; without it they run (see can_defer)",
        _as_is(None),
    ),
    "is_nnx_enabled": Row(
        (Place("keras.src.backend.config", "is_nnx_enabled", "3.11 on"),),
        "variables of flax.nnx keep their value elsewhere; before 3.11 there are none",
        lambda: getattr(_public("config"), "is_nnx_enabled", lambda: False),
    ),
    "compute_output_spec": Row(
        (Place("keras.src.backend", "compute_output_spec"),),
        "shapes of what a function returns",
        _as_is(_compute_output_spec),
    ),
    "rnn": Row(
        (Place("keras.src.backend", "rnn", "3.0 to 3.15"),),
        "a loop over time steps with a mask; in 3.16 it is a module, and the function is that of each backend",
        _as_is(_rnn),
    ),
    "get_keras_mask": Row(
        (Place("keras.src.backend.common.masking", "get_keras_mask", "3.6 on"),),
        "the mask that goes along with a tensor; before 3.6 it was an attribute",
        _as_is(_get_mask),
    ),
    "set_keras_mask": Row(
        (Place("keras.src.backend.common.masking", "set_keras_mask", "3.6 on"),),
        "lets a mask go along with a tensor",
        _as_is(_set_mask),
    ),
    # torch
    "TorchLayer": Row(
        (Place("keras.src.backend.torch.layer", "TorchLayer"),),
        "its _post_build registers parameters, which reads each value",
        _definer("Layer", "_post_build"),
        "torch",
    ),
    "get_device": Row(
        (
            Place("keras.src.backend.torch.ops.core", "get_device", "3.16 on"),
            Place("keras.src.backend.torch.core", "get_device", "3.0 to 3.15"),
        ),
        "where Keras puts new parameters",
        _as_is(_torch_device),
        "torch",
    ),
    "to_torch_dtype": Row(
        (
            Place("keras.src.backend.torch.ops.core", "to_torch_dtype", "3.16 on"),
            Place("keras.src.backend.torch.core", "to_torch_dtype", "3.0 to 3.15"),
        ),
        "the dtype in which torch keeps a variable",
        _as_is(_torch_dtype),
        "torch",
    ),
    # Walking a live model.
    "KerasSaveable": Row(
        (Place("keras.src.saving.keras_saveable", "KerasSaveable", "3.3 on"),),
        "the base of what has state",
        _saveables,
    ),
    "get_attr_skipset": Row(
        (
            Place("keras.src.saving.saving_lib", "get_attr_skipset", "3.6 on"),
            Place("keras.src.saving.saving_lib", "get_attr_skiplist", "3.0 to 3.5"),
        ),
        "the attributes that Keras does not walk",
        _as_is(_attr_skipset),
    ),
    "Functional": Row(
        (Place("keras.src.models", "Functional"),),
        "models from calls of layers",
        _functional_class,
    ),
    "to_snake_case": Row(
        (Place("keras.src.utils.naming", "to_snake_case"),),
        "names that Keras gives by class",
        _as_is(_snake_case),
    ),
    "uniquify": Row(
        (Place("keras.src.utils.naming", "uniquify"),),
        "takes a name, so that no operation is given it",
        _as_is(_uniquify),
    ),
    # Configurations.
    "serialization_lib": Row(
        (Place("keras.src.saving.serialization_lib"),),
        "its _retrieve_class_or_fn, replaced while a configuration of a stranger is read",
    ),
    "in_safe_mode": Row(
        (Place("keras.src.saving.serialization_lib", "in_safe_mode"),),
        "what the user said for the whole process; without it what he says to kio counts",
        _as_is(lambda: None),
    ),
    "ObjectSharingScope": Row(
        (Place("keras.src.saving.serialization_lib", "ObjectSharingScope"),),
        "objects that occur twice; without it they would be two",
    ),
    "exported": Row(
        (Place("keras.src.api_export", "REGISTERED_NAMES_TO_OBJS"),),
        "public objects by their first name",
        _exported,
    ),
    "functional": Row(
        (Place("keras.src.models.functional"),),
        "its deserialize_node, mended up to 3.13",
        _functional_module,
    ),
    "Trainer": Row(
        (
            Place("keras.src.trainers.trainer", "BaseTrainer", "3.16 on"),
            Place("keras.src.trainers.trainer", "Trainer", "3.0 to 3.15"),
        ),
        "its compile_from_config, mended up to 3.2",
        _definer("Model", "compile_from_config"),
    ),
    "is_default": Row(
        (Place("keras.src.utils.python_utils", "is_default"),),
        "whether a layer has no build of its own",
        _as_is(lambda method: getattr(method, "_is_default", False)),
    ),
    "might_have_unbuilt_state": Row(
        (Place("keras.src.layers.layer", "might_have_unbuilt_state"),),
        "whether a layer within a layer has no variables yet",
        _as_is(
            lambda layer: any(not each.built for each in layer._flatten_layers(include_self=False, recursive=False))
        ),
    ),
    # Legacy HDF5, as stock Keras writes it.
    "get_json_type": Row(
        (Place("keras.src.legacy.saving.json_utils", "get_json_type"),),
        "settings of a legacy configuration",
    ),
    "keras_option_scope": Row(
        (Place("keras.src.legacy.saving.saving_options", "keras_option_scope"),),
        "asks for a legacy configuration",
    ),
    "serialize_legacy": Row(
        (Place("keras.src.legacy.saving.serialization", "serialize_keras_object"),),
        "losses and metrics of a legacy configuration",
    ),
    "layer_functions": Row(
        (Place("keras.src.layers"),),
        "functions that stock Keras takes a setting of that name for",
        _layer_functions,
    ),
    "losses_by_name": Row(
        (Place("keras.src.losses", "ALL_OBJECTS_DICT"),),
        "losses by short name",
        lambda: _Losses("losses"),
    ),
    "metrics_by_name": Row(
        (Place("keras.src.metrics", "ALL_OBJECTS_DICT"),),
        "metrics by short name",
        lambda: _Losses("metrics"),
    ),
    # The look-alikes.
    "saving_api": Row(
        (Place("keras.src.saving.saving_api"),),
        "what Model.save calls, replaced by install(); without it keras.saving alone is",
        _named("saving"),
    ),
    "ask_to_proceed_with_overwrite": Row(
        (Place("keras.src.utils.io_utils", "ask_to_proceed_with_overwrite"),),
        "the question before a file is replaced",
        _as_is(_ask),
    ),
    "print_msg": Row(
        (Place("keras.src.utils.io_utils", "print_msg"),),
        "what callbacks say",
        _as_is(_print_msg),
    ),
}

# Roots of Keras's object tables: where each lives, and its public name where it has one.  Some are not in
# every version; a root that is gone takes none of its descendants along if its public name stays.
ROOTS: tuple[tuple[Place, str], ...] = (
    (Place("keras.src.ops.operation", "Operation"), "Operation"),
    (Place("keras.src.layers.layer", "Layer"), "Layer"),
    (Place("keras.src.losses.loss", "Loss"), "losses.Loss"),
    (Place("keras.src.metrics.metric", "Metric"), "metrics.Metric"),
    (Place("keras.src.optimizers.base_optimizer", "BaseOptimizer"), "optimizers.Optimizer"),
    (Place("keras.src.optimizers.optimizer", "Optimizer"), "optimizers.Optimizer"),
    (Place("keras.src.optimizers.multi_optimizer", "OptimizerMap", "3.15 on"), ""),
    (
        Place("keras.src.optimizers.schedules.learning_rate_schedule", "LearningRateSchedule"),
        "optimizers.schedules.LearningRateSchedule",
    ),
    (Place("keras.src.initializers.initializer", "Initializer"), "initializers.Initializer"),
    (Place("keras.src.regularizers.regularizers", "Regularizer"), "regularizers.Regularizer"),
    (Place("keras.src.constraints.constraints", "Constraint"), "constraints.Constraint"),
    (Place("keras.src.dtype_policies.dtype_policy", "DTypePolicy"), "dtype_policies.DTypePolicy"),
    (Place("keras.src.dtype_policies.dtype_policy_map", "DTypePolicyMap", "3.4 on"), "dtype_policies.DTypePolicyMap"),
    (Place("keras.src.quantizers.quantizers", "Quantizer", "3.1 on"), "quantizers.Quantizer"),
    (
        Place("keras.src.quantizers.quantization_config", "QuantizationConfig", "3.13 on"),
        "quantizers.QuantizationConfig",
    ),
    (Place("keras.src.quantizers.gptq_config", "GPTQConfig", "3.12 on"), "quantizers.GPTQConfig"),
    (Place("keras.src.quantizers.awq_config", "AWQConfig", "3.14 on"), "quantizers.AWQConfig"),
    (Place("keras.src.random.seed_generator", "SeedGenerator"), "random.SeedGenerator"),
    (Place("keras.src.layers.input_spec", "InputSpec"), "layers.InputSpec"),
    (Place("keras.src.layers.preprocessing.feature_space", "Feature"), ""),
    (Place("keras.src.layers.preprocessing.feature_space", "Cross"), ""),
    (Place("keras.src.distillation.distillation_loss", "DistillationLoss", "3.12 on"), "distillation.DistillationLoss"),
)

# TensorFlow optimizers key their slots by the tf.Variable behind a variable: modules whose
# code reads it.  The first was the name before 3.0 was released, the second ever since.
HANDLE_READERS = frozenset(
    {"keras.src.backend.tensorflow.optimizer_distribute", "keras.src.backend.tensorflow.optimizer"}
)


# What configurations of functional models name.
FUNCTIONAL = "keras.src.models.functional"


def ops(room: str) -> str:
    """The module that a configuration names for an operation: ``ops("numpy")``."""
    return f"keras.src.ops.{room}"


# ------------------------------------------------------------------ looking up


def resolve(name: str) -> Any:
    """What a row stands for in the Keras at hand.

    Args:
        name: Of the row.

    Raises:
        UnknownKerasError: if this Keras lacks the name, and nothing public stands in for it.
        ImportError: if there is no Keras.
    """
    _import()
    row = ROWS[name]
    found = row.private()
    if found is not None:
        return found
    if row.public is None:
        place = row.places[0]
        raise UnknownKerasError(
            f"Keras {version()}: expected {f'{place.module}.{place.name}'.rstrip('.')}, found no such name "
            f"({row.why}); this version of kio knows Keras 3.0 to {NEWEST[0]}.{NEWEST[1]}",
            hint="upgrade kio, install an older Keras, or use keras.saving instead",
        )
    return row.public()


def __getattr__(name: str) -> Any:
    if name not in ROWS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = resolve(name)
    return found


def can_defer() -> bool:
    """Whether variables can be made without a value: Keras's own state for that must be at hand."""
    _import()
    return all(ROWS[name].private() is not None for name in ("get_global_attribute", "set_global_attribute"))


def roots() -> tuple[type, ...]:
    """The classes that all objects of Keras's tables come from; those that are loaded."""
    import keras

    found: dict[type, None] = {}
    for place, path in ROOTS:
        module = sys.modules.get(place.module)
        root = getattr(module, place.name, None)
        if root is None and path:
            parent: Any = keras
            for part in path.split("."):
                parent = getattr(parent, part, None)
            root = parent
        if isinstance(root, type):
            found[root] = None
    return tuple(found)


def names_of(module: str) -> dict[str, Any]:
    """The names of a module of Keras, or of a package on top of it, that is loaded already; never imports."""
    loaded = sys.modules.get(module) or _attribute(module)
    return {} if loaded is None else vars(loaded)


def _attribute(module: str) -> ModuleType | None:
    """A module of Keras that ``import keras`` brings as an attribute: 3.4 to 3.8 name theirs keras.api.…"""
    first, *rest = module.split(".")
    found = sys.modules.get(first) if first == "keras" else None
    for part in rest:
        found = vars(found).get(part) if found is not None else None
        if not isinstance(found, ModuleType) or not found.__name__.startswith("keras."):
            return None
    return found


def is_own(what: Any) -> bool:
    """Whether a class, function or method is Keras's own code."""
    return str(getattr(what, "__module__", "")).startswith(OWN)


# ------------------------------------------------------------------ versions


def version() -> str:
    """The version of the installed Keras."""
    import keras

    return str(keras.__version__)


_warned = False


def _import() -> None:
    """Import Keras; warn once a process of a version that kio was not checked with."""
    global _warned
    if _warned:
        return
    text = unseen(version())
    _warned = True
    if text:
        caller = _caller()
        warnings.warn_explicit(text, UserWarning, caller.f_code.co_filename, caller.f_lineno)


def unseen(version: str) -> str:
    """What to say of a version of Keras that kio was not checked with; empty for one that it was.

    Args:
        version: As ``keras.__version__``.
    """
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and tuple(map(int, numbers.groups())) <= NEWEST:
        return ""
    nightly = re.fullmatch(r"(.*\.dev)(\d+)", version)
    checked, _, date = NIGHTLY.rpartition("dev")
    if nightly and nightly[1] == f"{checked}dev" and int(nightly[2]) <= int(date):
        return ""
    return (
        f"kio was not checked with Keras {version}, only with 3.0 to {NEWEST[0]}.{NEWEST[1]}: it goes on, and uses "
        "Keras's public functions where private ones are gone"
    )


def _caller() -> FrameType:
    """The first caller that is neither kio nor the import system."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).split(".")[0] in ("kio", "importlib"):
        frame = frame.f_back
    return frame
