"""What each saveable class does with the variables stored for it.

Keras lets every class read its own store.  For Keras's own classes what they do is known
and becomes static pairs (key, variable); any other ``load_own_variables`` is *custom* and
runs as it is, on a view of the file.

Spec: every ``load_own_variables`` of Keras 3.0.0 to 3.15.1.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

from kio.keras_private import is_own
from kio.mapping.nodes import describe
from kio.mapping.tree import Leaf, Node
from kio.models.live import int4

Loader = Callable[[Any, Node], None]

_KEYS = tuple(map(str, range(64)))
# Without the properties around them, which look for a scope that changes them.
_PRIVATE = ("_path", "_name", "_shape", "_dtype")

# Keys that hold nothing for a layer that was not quantized in groups.
_OPTIONAL = frozenset({"kernel_zero", "g_idx"})


def loader_of(cls: type) -> Loader | None:
    """The function that describes the own variables of an instance, or None if it has none."""
    load: Any = getattr(cls, "load_own_variables", None)
    if load is None:
        return None
    known = _known()
    check = getattr(cls, "_check_load_own_variables", None)
    if check is not None and check not in known.checks:
        return custom
    found: Loader = known.loaders.get(load, custom)
    return found


def _set_leaves(node: Node, variables: Sequence[Any]) -> None:
    try:
        describe(node, variables, _KEYS, _PRIVATE)
    except (AttributeError, TypeError):
        node.leaves = [
            Leaf(str(i), str(v.path), str(v.name), tuple(v.shape), str(getattr(v, "_dtype", None) or v.dtype), v, node)
            for i, v in enumerate(variables)
        ]


def _own(obj: Any) -> list[Any]:
    return list(obj._trainable_variables) + list(obj._non_trainable_variables)


def layer(obj: Any, node: Node) -> None:
    """``Layer``: all variables in the order of their creation, trainable ones first."""
    if "load_own_variables" in obj.__dict__:
        custom(obj, node)
        return
    variables = _own(obj)
    node.expects = len(variables)
    node.built = obj.built
    _set_leaves(node, variables)


def custom(obj: Any, node: Node) -> None:
    """Code that kio does not know: it gets a view of what is stored."""
    node.custom = True
    variables = getattr(obj, "_trainable_variables", None)
    node.expects = 0 if variables is None else len(_own(obj))


def optimizer(obj: Any, node: Node) -> None:
    """Optimizers count their variables and leave a state of another length alone."""
    if "load_own_variables" in obj.__dict__:
        custom(obj, node)
        return
    variables = obj.variables
    node.expects = len(variables)
    node.built = bool(variables)
    cls: Any = type(obj)
    node.rivals = _rivals(cls)
    if getattr(obj, "momentum", None) == 0 and node.cls == "sgd":
        # tf.keras had momenta without momentum, too.
        node.spare = [tuple(v.shape) for v in getattr(obj, "_trainable_variables", None) or ()]
    _set_leaves(node, variables)


def normalization(obj: Any, node: Node) -> None:
    """``Normalization``: then it folds mean and variance."""
    layer(obj, node)
    if not node.custom:
        node.after = obj.finalize_state


def discretization(obj: Any, node: Node) -> None:
    """``Discretization``: it takes tf.keras's summary of the data; the bins follow from that."""
    custom(obj, node)
    if obj.num_bins is not None:
        node.after = partial(_bins, obj)
        node.table = True


def _bins(obj: Any) -> None:
    if getattr(obj, "summary", None) is not None and len(obj.summary[0]):
        obj.finalize_state()


def conv(obj: Any, node: Node) -> None:
    """``BaseConv``: kernel and bias; LoRA factors are merged on saving, zeroed on loading."""
    if not _begin(obj, node):
        return
    _set_leaves(node, [obj._kernel, obj.bias] if obj.use_bias else [obj._kernel])
    if obj.lora_enabled:
        node.after = partial(_zero, obj.lora_kernel_a, obj.lora_kernel_b)


def quantizable(main: str, obj: Any, node: Node) -> None:
    """``Dense``, ``EinsumDense``, ``Embedding``: what the quantization mode says."""
    if not _begin(obj, node):
        return
    mode = getattr(obj, "quantization_mode", None)
    spec = _spec(obj)
    if spec is None and mode in (None, "int4"):
        # Of the modes of those days int4 alone has been kept otherwise since.
        own = [main, "bias"] if main == "kernel" else [main]
        spec = {mode: own if mode is None else [*own, f"{main}_scale"]}
    if spec is None or mode not in spec:
        # Before 3.13 quantized layers had orders of their own, which only they know.
        custom(obj, node)
        return
    variables = []
    for name in spec[mode]:
        if name == main:
            variable = getattr(obj, "_" + main)
        else:
            variable = getattr(obj, name, None)
        if variable is None:
            if name == "bias" or name in _OPTIONAL or main == "embeddings":
                continue
            custom(obj, node)
            return
        variables.append(variable)
    _set_leaves(node, variables)
    if mode == "int4" and main == "kernel":
        node.forms = int4.forms(obj, node)
    lora = (f"lora_{main}_a", f"lora_{main}_b") if getattr(obj, "lora_enabled", False) else ()
    flags = {"is_gptq_calibrated": mode == "gptq", "is_awq_calibrated": mode == "awq"}
    kept = {name: value for name, value in flags.items() if _mark(obj, name) != value}
    if lora or (kept and main == "kernel"):
        node.after = partial(_finish, obj, kept if main == "kernel" else {}, lora)


def _spec(obj: Any) -> Any:
    """Names of what a layer stores, by quantization mode; Keras's own classes make one for every instance."""
    made = getattr(type(obj), "variable_serialization_spec", None)
    if not isinstance(made, property) or not is_own(made.fget):
        return getattr(obj, "variable_serialization_spec", None)
    found = _specs.get(made)
    if found is None:
        found = _specs[made] = obj.variable_serialization_spec
    return found


# By property of a class; those of Keras alone, which stay.
_specs: dict[property, Any] = {}


def _mark(obj: Any, name: str) -> Any:
    """An attribute that most layers have not got: a torch module is slow to say so."""
    return getattr(obj, name, False) if name in obj.__dict__ or hasattr(type(obj), name) else False


def lookup(obj: Any, node: Node) -> None:
    """``IndexLookup``, ``TextVectorization``: only TF-IDF weights are variables."""
    inner = getattr(obj, "_lookup_layer", obj)
    node.table = not inner._has_input_vocabulary or inner.output_mode == "tf_idf"
    if "load_own_variables" in obj.__dict__ or inner.output_mode == "tf_idf":
        custom(obj, node)


def nothing(obj: Any, node: Node) -> None:
    """``FeatureSpace``: its parts save themselves."""


def _begin(obj: Any, node: Node) -> bool:
    """What ``Dense`` and its like do first; False where nothing remains to be said."""
    if "load_own_variables" in obj.__dict__ or not hasattr(obj, "lora_enabled") or _lacks_main(obj):
        custom(obj, node)
        return False
    if not obj.lora_enabled:
        node.expects = len(obj._trainable_variables) + len(obj._non_trainable_variables)
    node.built = obj.built
    return bool(obj.built)


def _lacks_main(obj: Any) -> bool:
    return obj.built and not hasattr(obj, "_kernel") and not hasattr(obj, "_embeddings")


def _zero(*variables: Any) -> None:
    from keras import ops

    for variable in variables:
        variable.assign(ops.zeros(variable.shape))


def _finish(obj: Any, flags: dict[str, bool], lora: tuple[str, ...]) -> None:
    for name, value in flags.items():
        setattr(obj, name, value)
    _zero(*(getattr(obj, name) for name in lora))


@cache
def _rivals(cls: Any) -> frozenset[str]:
    """Default names of Keras's optimizers that are of another kind than this one."""
    import keras

    from kio.keras_private import to_snake_case

    names: set[str] = set()
    own: set[str] = set()
    for other in vars(keras.optimizers).values():
        if not (isinstance(other, type) and issubclass(other, keras.optimizers.Optimizer)):
            continue
        named = inspect.signature(other).parameters.get("name")
        default = named.default if named is not None else None
        kin = issubclass(cls, other) or issubclass(other, cls)
        (own if kin else names).update({to_snake_case(other.__name__), str(default).lower()})
    return frozenset(names - own)


class _Known:
    """Keras's own classes and the functions above, by the function that Keras would call."""

    def __init__(self) -> None:
        from keras import layers, optimizers, utils

        base_conv = layers.Conv1D.__mro__[1]
        table: list[tuple[Any, Loader]] = [
            (layers.Layer, layer),
            (optimizers.Optimizer, optimizer),
            (layers.Dense, partial(quantizable, "kernel")),
            (layers.EinsumDense, partial(quantizable, "kernel")),
            (layers.Embedding, partial(quantizable, "embeddings")),
            (base_conv, conv),
            (layers.Normalization, normalization),
            (layers.Discretization, discretization),
            (layers.StringLookup, lookup),
            (layers.TextVectorization, lookup),
            (layers.Layer, layer),
        ]
        if hasattr(utils, "FeatureSpace"):
            table.append((utils.FeatureSpace, nothing))
        self.loaders: dict[Any, Loader] = {}
        for cls, loader in table:
            # A class that inherits Layer's own function is a plain layer.
            self.loaders.setdefault(cls.load_own_variables, loader)
        self.loaders[layers.Layer.load_own_variables] = layer
        self.checks = {
            getattr(cls, "_check_load_own_variables", None)
            for cls in (layers.Layer, layers.Dense, layers.EinsumDense, layers.Embedding, base_conv)
        }


@cache
def _known() -> _Known:
    return _Known()
