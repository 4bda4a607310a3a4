"""From a recipe to a model of tf.keras, its data, its numbers and its file.  Imports no kio.

A recipe is plain JSON:

    {"seed": 5, "batch": 4, "format": "h5",
     "inputs": [{"shape": [4], "kind": "tokens"}],
     "layers": {"a": {"cls": "Embedding", "args": {"input_dim": 7, "output_dim": 3, "mask_zero": true}}},
     "nodes": [{"layer": "a", "ins": [[0, 0]]}, {"op": "tanh", "ins": [[1, 0]]}],
     "outputs": [[2, 0]], "train": {"loss": "mse", "optimizer": "SGD", "weights": null}}

``[k, j]`` is output j of value k; inputs come first, nodes after them.  Layers, regularizers and
models within arguments are objects with ``cls`` or ``obj``.
"""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import numpy as np


def libraries() -> tuple[Any, Any]:
    """TensorFlow, and the Keras that it wrote its files with: tf_keras where it is, else tf.keras."""
    import tensorflow as tf

    if importlib.util.find_spec("tf_keras") is not None:
        import tf_keras

        return tf, tf_keras
    return tf, tf.keras


tf, keras = libraries()


def _slices(x: Any, spec: Any) -> Any:
    return x[tuple(slice(*each) if isinstance(each, list) else each for each in [[None], *spec])]


# Operations of TensorFlow in the place of layers: tensors, then arguments.
OPS: dict[str, Any] = {
    "scale": lambda x, by: x * by,
    "shift": lambda x, by: by - x,
    "over": lambda x, by: x / by,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "neg": lambda x: -x,
    "pow": lambda x: x**2,
    "maximum": lambda x, y: tf.maximum(x, y),
    "minimum": lambda x, y: tf.math.minimum(x, y),
    "tanh": lambda x: tf.tanh(x),
    "sigmoid": lambda x: tf.sigmoid(x),
    "nn_relu": lambda x: tf.nn.relu(x),
    "nn_elu": lambda x: tf.nn.elu(x),
    "nn_leaky_relu": lambda x, alpha: tf.nn.leaky_relu(x, alpha=alpha),
    "nn_softmax": lambda x, axis: tf.nn.softmax(x, axis=axis),
    "nn_l2_normalize": lambda x, axis: tf.nn.l2_normalize(x, axis=axis),
    "nn_avg_pool2d": lambda x, ksize, strides, padding: tf.nn.avg_pool2d(x, ksize, strides, padding),
    "nn_max_pool2d": lambda x, ksize, strides, padding: tf.nn.max_pool2d(x, ksize, strides, padding),
    "abs": lambda x: tf.abs(x),
    "sin": lambda x: tf.sin(x),
    "exp": lambda x: tf.exp(tf.clip_by_value(x, -3.0, 2.0)),
    "square": lambda x: tf.square(x),
    "softplus": lambda x: tf.math.softplus(x),
    "clip": lambda x, low, high: tf.clip_by_value(x, low, high),
    "reduce_mean": lambda x, axis, keepdims: tf.reduce_mean(x, axis=axis, keepdims=keepdims),
    "reduce_sum": lambda x, axis, keepdims: tf.reduce_sum(x, axis=axis, keepdims=keepdims),
    "reduce_max": lambda x, axis, keepdims: tf.reduce_max(x, axis=axis, keepdims=keepdims),
    "expand_dims": lambda x, axis: tf.expand_dims(x, axis),
    "transpose": lambda x, perm: tf.transpose(x, perm),
    "reshape": lambda x, shape: tf.reshape(x, [-1, *shape]),
    "reverse": lambda x, axis: tf.reverse(x, [axis]),
    "cumsum": lambda x, axis: tf.cumsum(x, axis=axis),
    "tile": lambda x, multiples: tf.tile(x, multiples),
    "pad": lambda x, paddings: tf.pad(x, paddings),
    "concat": lambda *xs, axis: tf.concat(list(xs), axis=axis),
    "stack": lambda *xs, axis: tf.stack(list(xs), axis=axis),
    "split": lambda x, n, axis: tf.split(x, n, axis=axis),
    "slice": _slices,
    "gather": lambda x, indices, axis: tf.gather(x, indices, axis=axis),
    "matmul": lambda x, y, transpose_b: tf.matmul(x, y, transpose_b=transpose_b),
    "where": lambda x, y: tf.where(x > 0.0, x, y),
    "one_hot": lambda x, depth: tf.one_hot(tf.cast(x, tf.int32), depth),
    "cast": lambda x: tf.cast(x, tf.float32),
    "not_equal": lambda x: tf.not_equal(x, 0),
}


def value(given: Any) -> Any:
    """An argument: objects within are made."""
    if isinstance(given, list):
        return [value(each) for each in given]
    if not isinstance(given, dict):
        return given
    if "cls" in given:
        return layer(given)
    found: Any = keras
    for part in given["obj"].split("."):
        found = getattr(found, part)
    return found(**given["args"])


def layer(given: dict[str, Any]) -> Any:
    """A layer or a model from its part of a recipe."""
    if given["cls"] == "Model":
        return model(given["recipe"])
    if given["cls"] == "Sequential":
        return keras.Sequential([layer(each) for each in given["layers"]])
    cls = getattr(keras.layers, given["cls"])
    args = {key: value(each) for key, each in given["args"].items()}
    inner = args.pop("layer", None)
    if inner is not None:
        return cls(inner, **args)
    cells = args.pop("cells", None)
    return cls(cells if len(cells) > 1 else cells[0], **args) if cells is not None else cls(**args)


@keras.utils.register_keras_serializable("kio_fuzz")
class Rounding(keras.layers.Layer):  # type: ignore[misc]
    """What other rounding would do: each number is moved by up to ``by`` of itself, and masks pass."""

    def __init__(self, by: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by, self.supports_masking = by, True

    def call(self, x: Any) -> Any:
        shape = tuple(x.shape)[1:]
        factor = 1 + self.by * np.random.default_rng(len(shape)).uniform(-1, 1, shape)
        return x * tf.constant(factor, x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "by": self.by}


class Graph:
    """A functional model under construction.

    Args:
        recipe: Of it.
        nudge: How far the numbers between two nodes are moved, relative to themselves.

    Attributes:
        values: Tensors of each input and node, in lists.
    """

    def __init__(self, recipe: dict[str, Any], nudge: float = 0.0) -> None:
        self.nudge = nudge
        self.layers = {key: layer(each) for key, each in recipe["layers"].items()}
        self.values: list[list[Any]] = []
        for each in recipe["inputs"]:
            dtype = "int32" if each["kind"] == "tokens" else "float32"
            given = {"batch_size": each["batch"]} if each.get("batch") else {}
            self.values.append([keras.Input(tuple(each["shape"]), dtype=dtype, **given)])

    def at(self, place: Any) -> Any:
        return self.values[place[0]][place[1]]

    def call(self, node: dict[str, Any]) -> list[Any]:
        """Add the values of a node."""
        ins = [self.at(place) for place in node["ins"]]
        if "op" in node:
            made = OPS[node["op"]](*ins, **node.get("args", {}))
        else:
            named = {}
            for key, given in node.get("call", {}).items():
                if isinstance(given, dict):
                    tensors = [self.at(place) for place in given["at"]]
                    named[key] = tensors[0] if given.get("single") else tensors
                else:
                    named[key] = given
            made = self.layers[node["layer"]](ins[0] if len(ins) == 1 else ins, **named)
        flat = list(made) if isinstance(made, (list, tuple)) else [made]
        if self.nudge:
            flat = [Rounding(self.nudge)(x) if x.dtype == tf.float32 and None not in x.shape[1:] else x for x in flat]
        self.values.append(flat)
        return flat


def model(recipe: dict[str, Any], nudge: float = 0.0) -> Any:
    """The model of a recipe: functional, or sequential where it says so; ``nudge`` as for Graph."""
    if "sequential" in recipe:
        made = keras.Sequential()
        first = recipe["inputs"][0]
        made.add(keras.Input(tuple(first["shape"]), dtype="int32" if first["kind"] == "tokens" else "float32"))
        for each in recipe["sequential"]:
            made.add(layer(each))
        return made
    graph = Graph(recipe, nudge)
    for node in recipe["nodes"]:
        graph.call(node)
    inputs = [graph.values[i][0] for i in range(len(recipe["inputs"]))]
    outputs = [graph.at(place) for place in recipe["outputs"]]
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs[0] if len(outputs) == 1 else outputs)


def fill(made: Any, seed: int) -> None:
    """Give every weight numbers of its own; what must be positive is."""
    dice = np.random.default_rng(seed)
    for variable in made.weights:
        shape = tuple(variable.shape)
        if not np.issubdtype(np.dtype(variable.dtype.as_numpy_dtype), np.floating):
            continue
        # No two alike: the reader finds its variables by their values.
        new = dice.uniform(0.1, 0.9, shape) * np.where(dice.random(shape) < 0.5, -1.0, 1.0)
        name = variable.name
        if "variance" in name or "gamma" in name or "scale" in name:
            new = np.abs(new) + 0.4
        variable.assign(new.astype(np.float32))


def data(recipe: dict[str, Any]) -> list[Any]:
    """Inputs: with steps that are padded, rows that are nothing but padding."""
    dice = np.random.default_rng(recipe["seed"] + 1)
    batch = recipe["batch"]
    found = []
    for each in recipe["inputs"]:
        shape = (batch, *each["shape"])
        if each["kind"] == "floats":
            found.append(dice.normal(size=shape).astype(np.float32))
            continue
        tokens = each["kind"] == "tokens"
        x = dice.integers(1, 7, shape).astype(np.int32) if tokens else dice.normal(size=shape).astype(np.float32)
        for row in range(batch):
            style = dice.integers(0, 5)
            steps = shape[1] if len(shape) > 1 else 1
            if style == 0:
                x[row] = 0
            elif style == 1:
                x[row, int(dice.integers(1, steps + 1)) :] = 0
            elif style == 2:
                x[row, : int(dice.integers(0, steps))] = 0
            elif style == 3:
                x[row, int(dice.integers(0, steps))] = 0
        found.append(x)
    return found


def flat(outputs: Any) -> list[Any]:
    return [np.asarray(each) for each in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def goals(recipe: dict[str, Any], outputs: list[Any]) -> list[Any]:
    dice = np.random.default_rng(recipe["seed"] + 2)
    return [dice.normal(size=each.shape).astype(np.float32) for each in outputs]


def one(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def run(recipe: dict[str, Any], path: Path | None, nudge: float = 0.0) -> dict[str, Any]:
    """Build, save, and compute: arrays by name.

    Args:
        recipe: What to build.
        path: Where the model goes; None writes none.
        nudge: How far, relative to themselves, weights, inputs, and what comes of each node are moved.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(recipe["seed"])
    random.seed(recipe["seed"])
    made = model(recipe, nudge)
    fill(made, recipe["seed"])
    feed = data(recipe)
    if nudge:
        dice = np.random.default_rng(99)
        for variable in made.weights:
            if variable.dtype.is_floating:
                variable.assign(variable * (1 + nudge * dice.uniform(-1, 1, tuple(variable.shape)).astype(np.float32)))
        feed = [
            x if x.dtype.kind == "i" else (x * (1 + nudge * dice.uniform(-1, 1, x.shape))).astype(np.float32)
            for x in feed
        ]
    outputs = flat(made(one(feed), training=False))
    found: dict[str, Any] = {f"input_{k}": x for k, x in enumerate(feed)}
    found |= {f"output_{k}": x for k, x in enumerate(outputs)}
    made.reset_states()
    train = recipe.get("train")
    if train and not made.trainable_weights:
        train = None
    if train:
        optimizer = getattr(keras.optimizers, train["optimizer"])(**train["options"])
        made.compile(optimizer, train["loss"], run_eagerly=True)
    if path is not None:
        made.save(str(path))
    if path is not None and nudge:
        again = flat(keras.models.load_model(str(path), compile=False)(one(feed), training=False))
        found["reload"] = np.array([np.abs(a - b).max() for a, b in zip(outputs, again, strict=True)], np.float64)
    if train:
        found |= {f"before_{k}": np.asarray(v) for k, v in enumerate(made.weights)}
        targets = goals(recipe, outputs)
        found |= {f"target_{k}": x for k, x in enumerate(targets)}
        weight = None
        if train["weights"]:
            dice = np.random.default_rng(recipe["seed"] + 3)
            weight = dice.uniform(0.2, 2.0, (recipe["batch"],)).astype(np.float32)
            found["sample_weight"] = weight
        loss = made.train_on_batch(one(feed), one(targets), sample_weight=weight)
        found["loss"] = np.ravel(loss)[:1].astype(np.float64)
        found |= {f"after_{k}": np.asarray(v) for k, v in enumerate(made.weights)}
    return found


def sane(found: dict[str, Any]) -> bool:
    """Whether all numbers are such that they can be compared."""
    return all(
        np.all(np.isfinite(x)) and (x.size == 0 or np.abs(x).max() < 1e4)
        for key, x in found.items()
        if key.startswith(("output", "after", "loss")) and x.dtype.kind == "f"
    ) and all(x.dtype.kind == "f" and x.size for key, x in found.items() if key.startswith("output"))
