"""What a model was compiled with, as tf.keras 2 has it in ``training_config``."""

from __future__ import annotations

from typing import Any

from kio.errors import shown
from kio.models.eras.downgrade.layers import Layers
from kio.models.eras.downgrade.table import MISSING, NEUTRAL, NEUTRAL_OF

Config = dict[str, Any]

# tf.keras 2 leaves the mean over a batch to itself.
_REDUCTIONS = {"sum_over_batch_size": "auto", "sum": "sum", "none": "none", None: "none"}


def training_of(tree: Config, problems: list[str]) -> Config:
    """The whole; what tf.keras 2 cannot say is added to ``problems``."""
    return {
        "loss": _each(tree.get("loss"), lambda one: _object(one, "losses", problems)),
        "metrics": _each(tree.get("metrics"), lambda one: _object(one, "metrics", problems)),
        "weighted_metrics": _each(tree.get("weighted_metrics"), lambda one: _object(one, "metrics", problems)),
        "loss_weights": tree.get("loss_weights"),
        "optimizer_config": _optimizer(tree["optimizer_config"], problems),
    }


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, list):
        return [_each(each, change) for each in value]
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _each(each, change) for key, each in value.items()}
    return value if value is None or isinstance(value, str) else change(value)


def _object(value: Config, room: str, problems: list[str]) -> Config:
    name, inner = str(value["class_name"]), dict(value.get("config") or {})
    if name in MISSING[room]:
        problems.append(f"{name} of {room}")
    for key in list(inner):
        neutral = NEUTRAL_OF.get((name, key), NEUTRAL.get(key))
        if neutral is not None:
            if inner[key] not in neutral:
                problems.append(f"{name}({key}={shown(str(inner[key]))})")
            del inner[key]
    dtype = inner.get("dtype")
    if room == "losses":
        inner.pop("dtype", None)
        if inner.get("reduction", "sum") not in _REDUCTIONS:
            problems.append(f"reduction {shown(str(inner['reduction']))} of {name}")
        elif "reduction" in inner:
            inner["reduction"] = _REDUCTIONS[inner["reduction"]]
    elif isinstance(dtype, dict):
        inner["dtype"] = dtype["config"]["name"]
    return {"class_name": name, "config": inner}


def _optimizer(value: Config, problems: list[str]) -> Config:
    name = str(value["class_name"])
    if name in MISSING["optimizers"]:
        problems.append(f"optimizer {name} (include_optimizer=False saves the model without it)")
    layers = Layers()
    inner = layers.arguments(name, value["config"])
    problems += layers.problems
    # What only TensorFlow's runtime knows; without it tf.keras would compile by XLA where it can.
    return {"class_name": name, "config": {**inner, "jit_compile": False, "is_legacy_optimizer": False}}
