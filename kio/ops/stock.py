"""Keras's own operation for a call of a TensorFlow function, as a configuration names it.

A row's ``stock`` takes the arguments of a stored call one by one and gives the operation with the
same meaning; an argument that it does not take, or at which Keras's operation means something
else, is refused.  What a file holds in this way needs no kio to be read.

Spec: the API of TensorFlow 2; ``keras.ops`` of Keras 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kio.errors import UnsupportedError, shown
from kio.keras_private import ops
from kio.ops import slices
from kio.ops.values import dtype_named

NUMPY, NN, MATH, CORE, IMAGE, LINALG = map(ops, ("numpy", "nn", "math", "core", "image", "linalg"))

Config = dict[str, Any]
Op = tuple[str, str, Config, list[Any], Config]  # module, class, arguments of the class, of the call
Make = Callable[["Arguments"], Op]


class UnlikeError(UnsupportedError, TypeError):
    """Keras's operation would compute something else, or has no such argument."""


def refuse(what: str, expected: str, found: object) -> UnlikeError:
    return UnlikeError(f"{what}: expected {expected}, found {shown(found)}")


def array(value: Any) -> Any:
    """Lists of numbers as an array, which every operation takes; all else as it is."""
    if not isinstance(value, list) or holds_tensor(value):
        return value
    flat: list[Any] = [value]
    while any(isinstance(each, list) for each in flat):
        flat = [inner for each in flat for inner in (each if isinstance(each, list) else [each])]
    kind = "int32" if all(isinstance(each, int) for each in flat) else "float32"
    if flat and all(isinstance(each, bool) for each in flat):
        kind = "bool"
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": kind}}


def holds_tensor(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("class_name") == "__keras_tensor__" or any(map(holds_tensor, value.values()))
    return isinstance(value, list) and any(map(holds_tensor, value))


class Arguments:
    """The arguments of a TensorFlow function, taken one by one; what is left over is refused."""

    def __init__(self, function: str, first: Any, others: Config) -> None:
        self.function = function
        self._first: list[Any] = [first]
        self._others = {key: value for key, value in others.items() if key != "name"}

    def first(self) -> Any:
        """The first argument, tensors or a constant."""
        value = self._first[0]
        return value if holds_tensor(value) else array(value)

    def take(self, *names: str, default: Any = None) -> Any:
        """An argument under any of its names."""
        for name in names:
            if name in self._others:
                return self._others.pop(name)
        return default

    def operand(self, *names: str) -> Any:
        """Another operand beside the first: a tensor, a number, or a constant array."""
        return array(self.take(*names))

    def constant(self, *names: str, default: Any = None) -> Any:
        """An argument that must not depend on the input."""
        value = self.take(*names, default=default)
        if holds_tensor(value):
            raise refuse(f"{names[0]} of {self.function}", "a constant", "a tensor")
        return value

    def must(self, value: Any, *names: str) -> None:
        """Take an argument that Keras's operation does not have; it must be at its default."""
        found = self.take(*names, default=value)
        if found != value and found is not None:
            raise refuse(f"{names[0]} of {self.function}", repr(value), found)

    def end(self) -> None:
        left = {key: value for key, value in self._others.items() if value is not None}
        if left:
            key, value = next(iter(left.items()))
            raise refuse(f"{key} of {self.function}", "no such argument", value)


# ------------------------------------------------------------------------------ kinds of rows


def unary(cls: str, module: str = NUMPY) -> Make:
    def make(a: Arguments) -> Op:
        return module, cls, {}, [a.first()], {}

    return make


def transpose(a: Arguments) -> Op:
    a.must(False, "conjugate")
    return NUMPY, "Transpose", {"axes": a.constant("perm")}, [a.first()], {}


def binary(cls: str) -> Make:
    def make(a: Arguments) -> Op:
        # Of bias_add: with channels last a bias is just added.
        if a.take("data_format", default="NHWC") not in ("NHWC", "NWC", "NDHWC", None):
            raise refuse(f"data_format of {a.function}", "channels last", "channels first")
        return NUMPY, cls, {}, [a.first(), a.operand("y", "bias")], {}

    return make


def added(a: Arguments) -> Op:
    made = binary("Add")(a)
    if keras.config.backend() == "tensorflow" and any(not isinstance(each, (int, float)) for each in made[3][1:]):
        # There Keras takes what broadcasts for a bias, and adds it along another axis if the sizes allow it.
        raise refuse(f"operand of {a.function}", "a number", "a tensor")
    return made


def reduced(cls: str, module: str = NUMPY) -> Make:
    def make(a: Arguments) -> Op:
        axis = a.constant("axis", "reduction_indices")
        keep = bool(a.constant("keepdims", "keep_dims", default=False))
        return module, cls, {"axis": axis, "keepdims": keep}, [a.first()], {}

    return make


def having(cls: str, module: str, **arguments: tuple[Any, ...]) -> Make:
    """Arguments of Keras's class, each with the names in TensorFlow and a default at the end."""

    def make(a: Arguments) -> Op:
        made = {key: a.constant(*names, default=default) for key, (*names, default) in arguments.items()}
        return module, cls, made, [a.first()], {}

    return make


# ------------------------------------------------------------------------------ single rows


def softmax(cls: str) -> Make:
    def make(a: Arguments) -> Op:
        axis = a.constant("axis", default=-1)
        return NN, cls, {"axis": -1 if axis is None else axis}, [a.first()], {}

    return make


def cast(a: Arguments) -> Op:
    dtype = dtype_named(a.constant("dtype", "DstT", default="float32"))
    return CORE, "Cast", {"dtype": dtype}, [a.first()], {}


def argument(cls: str) -> Make:
    def make(a: Arguments) -> Op:
        # NumPy goes through the flattened array by default, TensorFlow along the first axis.
        axis = a.constant("axis", "dimension", default=0)
        a.take("output_type")
        return NUMPY, cls, {"axis": 0 if axis is None else axis}, [a.first()], {}

    return make


def matmul(a: Arguments) -> Op:
    for flag in (
        "transpose_a",
        "transpose_b",
        "adjoint_a",
        "adjoint_b",
        "a_is_sparse",
        "b_is_sparse",
        "adj_x",
        "adj_y",
    ):
        a.must(False, flag)
    return NUMPY, "Matmul", {}, [a.first(), a.operand("b", "y")], {}


def clip(a: Arguments) -> Op:
    low, high = a.constant("clip_value_min"), a.constant("clip_value_max")
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low > high:
        # TensorFlow lets the lower bound hold, Keras the upper one.
        raise refuse(f"bounds of {a.function}", "a lower one below the upper one", f"{low}, {high}")
    return NUMPY, "Clip", {"x_min": low, "x_max": high}, [a.first()], {}


def one_hot(a: Arguments) -> Op:
    if keras.config.backend() in ("torch", "numpy"):
        raise refuse("tf.one_hot", "a backend on which an index beyond depth is nothing", keras.config.backend())
    a.must(1, "on_value")
    a.must(0, "off_value")
    axis = a.constant("axis", default=-1)
    made = {"num_classes": a.constant("depth"), "axis": -1 if axis is None else axis}
    return NN, "OneHot", made | {"dtype": a.constant("dtype") or "float32"}, [a.first()], {}


def gather(a: Arguments) -> Op:
    a.must(0, "batch_dims")
    a.take("validate_indices")
    axis = a.constant("axis", default=0)
    return NUMPY, "Take", {"axis": 0 if axis is None else axis}, [a.first(), a.operand("indices")], {}


def pad(a: Arguments) -> Op:
    mode = str(a.constant("mode", default="CONSTANT")).lower()
    if mode == "symmetric":
        raise refuse(f"mode of {a.function}", "one that all backends have alike", mode)
    value = a.constant("constant_values", default=0)
    made = {"pad_width": a.constant("paddings"), "mode": mode}
    return NUMPY, "Pad", made, [a.first()], {"constant_values": value} if mode == "constant" and value else {}


def normalize(a: Arguments) -> Op:
    epsilon = a.constant("epsilon", default=1e-12)
    if not isinstance(epsilon, (int, float)) or epsilon < 0:
        raise refuse(f"epsilon of {a.function}", "a number that is not negative", epsilon)
    # TensorFlow bounds the square of the norm.
    made = {"axis": a.constant("axis", "dim"), "order": 2, "epsilon": epsilon**0.5}
    return NN, "Normalize", made, [a.first()], {}


def resize(a: Arguments) -> Op:
    a.must(False, "preserve_aspect_ratio")
    method = str(a.constant("method", default="bilinear"))
    if method not in ("bilinear", "nearest"):
        raise refuse(f"method of {a.function}", "one that all backends have alike", method)
    if method == "bilinear" and a.take("antialias"):
        raise refuse(f"antialias of {a.function}", "False", True)
    made = {"size": a.constant("size"), "interpolation": method, "data_format": "channels_last"}
    return IMAGE, "Resize", made | {"antialias": bool(a.constant("antialias", default=False))}, [a.first()], {}


def split(a: Arguments) -> Op:
    a.must(None, "num")
    parts, axis = a.constant("num_or_size_splits"), a.constant("axis", default=0)
    if isinstance(parts, list):
        if not all(isinstance(part, int) and part >= 0 for part in parts):
            raise refuse(f"num_or_size_splits of {a.function}", "sizes", parts)
        # Keras, as NumPy, wants the places between the parts.
        parts = [sum(parts[: i + 1]) for i in range(len(parts) - 1)]
    return NUMPY, "Split", {"indices_or_sections": parts, "axis": axis}, [a.first()], {}


def getitem(a: Arguments) -> Op:
    key = a.take("slice_spec", default=None)
    a.take("var")
    if holds_tensor(key):
        raise refuse(f"slices of {a.function}", "constants", "a tensor")
    axis = slices.reversed_axis(key)
    if axis is not None:
        # Not every backend has steps backwards.
        return NUMPY, "Flip", {"axis": axis}, [a.first()], {}
    if slices.turned(key):
        raise refuse(f"slices of {a.function}", "steps forward, which all backends have", "steps backward")
    found = slices.todays(key)
    # Keras takes a tuple of slices; one alone stands for the first axis.
    return NUMPY, "GetItem", {}, [a.first(), [found] if isinstance(found, dict) else found], {}


def einsum(a: Arguments) -> Op:
    inputs = a.take("inputs", default=[])
    inputs = inputs if isinstance(inputs, list) else [inputs]
    if not inputs:
        # The operands stood behind a star, and tf.keras stored only what has a name.
        raise refuse(f"operands of {a.function}", "tensors", "none: TensorFlow's Keras did not save them")
    return NUMPY, "Einsum", {"subscripts": a.first()}, inputs, {}


def where(a: Arguments) -> Op:
    return NUMPY, "Where", {}, [a.first(), a.operand("x"), a.operand("y")], {}


def solve(a: Arguments) -> Op:
    a.must(False, "adjoint")
    return LINALG, "Solve", {}, [a.first(), a.operand("rhs")], {}


def cumsum(a: Arguments) -> Op:
    a.must(False, "exclusive")
    a.must(False, "reverse")
    return NUMPY, "Cumsum", {"axis": a.constant("axis", default=0)}, [a.first()], {}


def silu(a: Arguments) -> Op:
    a.must(1.0, "beta")
    return NN, "Silu", {}, [a.first()], {}


def repeat(a: Arguments) -> Op:
    repeats = a.constant("repeats")
    if isinstance(repeats, list) and len(repeats) != 1:
        raise refuse(f"repeats of {a.function}", "a number, which all backends take", repeats)
    return NUMPY, "Repeat", {"repeats": repeats, "axis": a.constant("axis")}, [a.first()], {}
