"""Small objects in the arguments of layers: initializers, activations, policies, where they live.

Old files name them without a module, or by modules that no longer exist; some functions
kept their name and changed their meaning.
"""

from __future__ import annotations

from typing import Any

from kio.keras_private import ops
from kio.models.allowlist import builtin_class, builtin_function
from kio.models.eras import versions
from kio.models.eras.keras3_older import RENAMED
from kio.models.eras.rule import Config, Context

# Packages that were Keras once, or are still; the rest of a path is as in Keras.
_PACKAGES = ("tensorflow.python.keras", "tensorflow.keras", "tf_keras", "keras_core")

# Keras 1 spelled some initializers in other words.
_INITIALIZERS = {"zero": "zeros", "one": "ones", "normal": "random_normal", "uniform": "random_uniform"}

# Activations whose meaning changed in Keras 3, by the name that they had before; kio has them
# as they were.  hard_sigmoid: clip(0.2 x + 0.5, 0, 1) became relu6(x + 3) / 6.
CHANGED_ACTIVATIONS = frozenset({"hard_sigmoid"})

# TensorFlow's own functions as activations, by the names that Python has for them.
_TENSORFLOW_ACTIVATIONS = {"log_softmax_v2": "log_softmax", "softmax_v2": "softmax", "identity": "linear"}

# Constraints that only kio has.
_KIO_CONSTRAINTS = frozenset({"RadialConstraint", "radial_constraint"})

_ARRAYS = frozenset({"__numpy__", "__tensor__"})

_POLICIES = frozenset({"Policy", "PolicyV1", "DTypePolicy", "FloatDTypePolicy"})


def module_of(name: Any, module: Any) -> Any:
    """Where today's Keras has what an old module path means; None where only the name tells."""
    if not isinstance(module, str):
        return None
    for package in _PACKAGES:
        if module == package or module.startswith(package + "."):
            module = "keras" + module[len(package) :]
            break
    if module.split(".")[0] != "keras" or builtin_class(name, module) is not None:
        return module
    # keras.src.engine.functional, keras.engine.sequential, …: the class lives elsewhere now.
    return None


def operation_module(name: str) -> str | None:
    """Where Keras 3 has an operation; its own legacy HDF5 stores no more than the name."""
    modules = map(ops, ("numpy", "nn", "core", "math", "linalg", "image"))
    return next((module for module in modules if builtin_class(name, module) is not None), None)


def function(name: str, module: Any = None) -> Config:
    """A function in today's grammar."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def activation(value: Any, context: Context) -> Any:
    """An activation, with the meaning that it had."""
    name = value
    if isinstance(value, dict) and value.get("class_name") == "function":
        name = value.get("config")
    if not isinstance(name, str):
        return value
    bare = name.rpartition(">")[2]
    if bare in _TENSORFLOW_ACTIVATIONS and not context.is_custom(name):
        return _TENSORFLOW_ACTIVATIONS[bare]
    if bare in CHANGED_ACTIVATIONS and not context.era.modern and not context.is_custom(name):
        context.applied[f"{bare} as it was"] += 1
        return kio_function(bare, context)
    if context.is_custom(name) or (builtin_function(name, None) is None and name == bare):
        # Today's reader takes a bare name for one of Keras's own.
        return function(name)
    return bare if isinstance(value, dict) and builtin_function(bare, None) is not None else value


def kio_function(name: str, context: Context) -> Config:
    """A function of ``kio.layers``, in today's grammar."""
    import kio.layers  # noqa: F401  (its objects register themselves)

    context.kio_objects.add(name)
    return {
        "module": "kio.layers.functions",
        "class_name": "function",
        "config": f"kio>{name}",
        "registered_name": f"kio>{name}",
    }


def kio_class(name: str, context: Context) -> Config:
    """A class of ``kio.layers``, in today's grammar, still without its arguments."""
    import kio.layers  # noqa: F401  (its classes register themselves)

    context.kio_objects.add(name)
    context.applied[f"{name} by kio"] += 1
    return {"module": "kio.layers", "class_name": name, "registered_name": f"kio>{name}"}


def initializer(value: Any, context: Context) -> Any:
    """An initializer without the dtype that tf.keras stored with it."""
    if isinstance(value, str):
        return function(value) if context.is_custom(value) else _INITIALIZERS.get(value, value)
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
        return value
    if context.is_custom(str(value.get("registered_name") or value.get("class_name"))):
        return value
    inner = value["config"]
    if "dtype" in inner:
        del inner["dtype"]
        context.applied["dtype of an initializer"] += 1
    if "partition_info" in inner:
        del inner["partition_info"]
    value = relocated(value, context)
    name = value.get("class_name")
    if "module" not in value and (name in RENAMED or builtin_class(name, "keras.initializers") is not None):
        # Said, since some are called otherwise in older Keras 3, which then is known from their place.
        value |= {"module": "keras.initializers", "registered_name": None}
    return value


def relocated(value: Config, context: Context) -> Config:
    """An object whose module is where the class is today."""
    name = value.get("class_name")
    old = value.get("module")
    if old is not None and not context.is_custom(str(value.get("registered_name"))):
        new = module_of(name, old)
        if new != old:
            value["module"] = new
            context.applied["modules of another package"] += 1
    if value.get("module") is None:
        value.pop("module", None)
        if value.get("registered_name") is None:
            value.pop("registered_name", None)
    value.pop("shared_object_id", None)
    return value


def constraint(value: Any, context: Context) -> Any:
    """A constraint; kio has the one that Keras 3 dropped."""
    name = value.get("class_name") if isinstance(value, dict) else value
    if name not in _KIO_CONSTRAINTS or context.is_custom(str(name)):
        return plain(value, context)
    return {**kio_class("RadialConstraint", context), "config": {}}


def activity(value: Any, context: Context) -> Any:
    """A regularizer of activities, by kio where the installed Keras measures it otherwise.

    Left as it is where the era does not tell: of Keras 1, whose own divided or did not, and of unknown writers.
    """
    version = context.era.version
    if value is None or version is None or version < (2,):
        return value
    from kio.layers.regularizers import DIVIDED

    tensorflow = (2, 4) <= version < (3,) or str(context.era.text).endswith("-tf")
    mean = tensorflow or version >= DIVIDED
    if mean == (versions.installed() >= DIVIDED):
        return value
    return {**kio_class("ActivityRegularizer", context), "config": {"regularizer": value, "mean": mean}}


def dtype(value: Any, context: Context) -> Any:
    """A dtype or policy as the plain name that every Keras 3 takes."""
    if isinstance(value, dict) and value.get("class_name") in _POLICIES:
        inner = value.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str) and not context.era.modern:
            context.applied["dtype policy"] += 1
            return inner["name"]
    return value


def plain(value: Any, context: Context) -> Any:
    """Any other value: objects in it find their modules, arrays become numbers."""
    if isinstance(value, dict):
        if value.get("class_name") in _ARRAYS and isinstance(value.get("config"), dict):
            # Layers of TensorFlow 2.12 stored their numbers as NumPy's.
            context.applied["numbers in arrays"] += 1
            return value["config"].get("value")
        value = {key: plain(each, context) for key, each in value.items()}
        return relocated(value, context) if "class_name" in value and "config" in value else value
    if isinstance(value, list):
        return [plain(each, context) for each in value]
    return value
