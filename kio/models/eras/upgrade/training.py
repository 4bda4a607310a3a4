"""What an old model was compiled with, as today's ``compile_config``.

    training_config    of .h5: optimizer_config, loss, metrics, loss_weights, …
    compile_config     of tf.keras's .keras: the same with modules

A loss or metric that only its name is known of must be Keras's or the user's; an optimizer
whose old meaning Keras 3 has no equal of leaves the model uncompiled, with a warning.

Spec: ``model_metadata`` of ``saving_utils.py`` of Keras 2 and tf.keras.
"""

from __future__ import annotations

import inspect
from typing import Any, cast

import keras

from kio.models.allowlist import builtin_class, builtin_function
from kio.models.eras.rule import Config, Context, refuse
from kio.models.eras.upgrade import objects

# Names of losses and metrics that Keras 3 does not know any more.
_NAMES = {
    "cosine_proximity": "cosine_similarity",
    "cosine": "cosine_similarity",
    "logcosh": "log_cosh",
    "MSE": "mse",
    "MAE": "mae",
    "MAPE": "mape",
    "MSLE": "msle",
    "KLD": "kld",
    "kullback_leibler_divergence": "kl_divergence",
    "kld": "kl_divergence",
}
_FULL = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "kullback_leibler_divergence": "kl_divergence",
    "kld": "kl_divergence",
    "logcosh": "log_cosh",
    "cosine_proximity": "cosine_similarity",
}
# Strings that compile() itself understands, from the shape of the output, in any case.
_BY_SHAPE = {"losses": frozenset({"crossentropy", "ce"}), "metrics": frozenset({"accuracy", "acc"})}
_GONE_METRICS = frozenset({"MeanRelativeError", "MeanTensor", "SumOverBatchSize"})

_REDUCTIONS = {"auto": "sum_over_batch_size"}

# What Keras 3 keeps of compile() besides the optimizer.
_KEPT = frozenset({"loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution"})

# Arguments of optimizers that only TensorFlow's runtime knew.
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_RUNTIME = ("jit_compile", "is_legacy_optimizer", "experimental_aggregate_gradients", "mesh")


def upgrade(training: Config, context: Context, outputs: int = 1) -> Config:
    """``compile_config`` of today.

    Args:
        training: ``training_config`` of an ``.h5`` or ``compile_config`` of a ``.keras``.
        context: Who wrote it.
        outputs: How many outputs the model has.

    Raises:
        UpgradeError: if the optimizer has no equal today.
    """
    stored = training.get("optimizer_config", training.get("optimizer"))
    made: Config = {"optimizer": optimizer(stored, context) if isinstance(stored, dict) else stored}
    made["loss"] = _each(training.get("loss"), lambda one: loss(one, context))
    made["loss_weights"] = training.get("loss_weights")
    for key in ("metrics", "weighted_metrics"):
        found = _each(training.get(key), lambda one: metric(one, context))
        made[key] = _spread(found, outputs)
    for key in ("run_eagerly", "steps_per_execution"):
        if training.get(key) is not None:
            made[key] = training[key]
    context.applied["training configuration"] += 1
    return made


def forgotten(compiled: Any) -> bool:
    """Whether a ``compile_config`` is one that its optimizer was taken out of.

    Every Keras 3 does so to the live model when it saves it as legacy HDF5, for any ``.keras`` that it saves
    later.  Whoever reads that compiles with the default of ``compile``, RMSprop.
    """
    return isinstance(compiled, dict) and "optimizer" not in compiled and compiled.keys() >= _KEPT


def _each(value: Any, change: Any) -> Any:
    """Apply to every object or name in lists and dicts."""
    if value is None or isinstance(value, str) or (isinstance(value, dict) and "class_name" in value):
        return None if value is None else change(value)
    if isinstance(value, dict):
        return {key: _each(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [_each(each, change) for each in value]
    return value


def _spread(metrics: Any, outputs: int) -> Any:
    """Metrics for each output: Keras 2 took one list for all of them."""
    if isinstance(metrics, list) and len(metrics) == 1 and isinstance(metrics[0], list) and outputs == 1:
        return metrics[0]
    plain = isinstance(metrics, list) and metrics and not any(isinstance(each, (list, type(None))) for each in metrics)
    if plain and outputs > 1 and len(metrics) != outputs:
        return [metrics] * outputs
    return metrics


# ----------------------------------------------------------------------- losses, metrics


def by_shape(name: str, room: str) -> bool:
    """Whether a loss or metric by that name is chosen by ``compile``; ``room`` is ``"losses"`` or ``"metrics"``."""
    return name.lower() in _BY_SHAPE[room]


def loss(value: Any, context: Context) -> Any:
    """A loss by name or as an object."""
    if isinstance(value, str):
        return value if by_shape(value, "losses") else _named(value, "losses", context)
    return _object(value, "losses", context)


def metric(value: Any, context: Context) -> Any:
    """A metric by name or as an object."""
    if isinstance(value, str):
        return value if by_shape(value, "metrics") else _metric_named(value, context)
    if value.get("class_name") in _GONE_METRICS and not context.is_custom(value["class_name"]):
        raise refuse("metric", "one that Keras 3 has", value["class_name"])
    if value.get("class_name") in ("MeanMetricWrapper", "SumOverBatchSizeMetricWrapper"):
        inner = dict(value["config"])
        function = inner.pop("fn", None)
        name = function.get("config") if isinstance(function, dict) else function
        if context.is_custom(str(name)) and inner.get("name") == name:
            # Keras would take the name of the metric for the function, too.
            return objects.function(str(name))
        cls = _class_of(str(name))
        if cls is not None:
            context.applied["metric that wrapped a function"] += 1
            return {
                "module": "keras.metrics",
                "class_name": cls,
                "config": inner,
                "registered_name": None,
            }
        return {
            "module": "keras.metrics",
            "class_name": "MeanMetricWrapper",
            "config": {**inner, "fn": objects.function(str(name))},
            "registered_name": None,
        }
    return _object(value, "metrics", context)


def _class_of(function: str) -> str | None:
    """``categorical_accuracy`` → ``CategoricalAccuracy``, where Keras has it."""
    function = _FULL.get(function.lower(), function)
    name = "".join(part.capitalize() for part in function.split("_")).replace("Kl", "KL")
    return name if builtin_class(name, "keras.metrics") is not None else None


def _named(name: str, room: str, context: Context) -> Any:
    if context.is_custom(name):
        return objects.function(name)
    today = _NAMES.get(name, name)
    if today != name:
        context.applied["old name of a loss or metric"] += 1
    known = builtin_function(today, f"keras.{room}") or builtin_class(today, f"keras.{room}")
    # A name that nobody knows becomes an object, for the walk behind to say so.
    return today if known is not None or today in _SHORT else objects.function(name)


def _metric_named(name: str, context: Context) -> Any:
    """A metric by name; a loss that is no metric of Keras 3 is averaged, as Keras 2 did."""
    found = _named(name, "metrics", context)
    if isinstance(found, dict) and context.is_custom(name):
        return found
    today = _NAMES.get(name, name)
    try:
        keras.metrics.get(today)
        return today
    except ValueError:
        pass
    if str(name).lower() in ("crossentropy", "ce"):
        raise refuse("metric", "the name of one crossentropy", name, "compile the model in code")
    if builtin_function(today, "keras.losses") is None:
        return found
    context.applied["loss as a metric"] += 1
    return {
        "module": "keras.metrics",
        "class_name": "MeanMetricWrapper",
        "config": {"name": name, "fn": objects.function(today, "keras.losses")},
        "registered_name": None,
    }


_SHORT = frozenset({"mse", "mae", "mape", "msle", "bce", "kld", "MSE", "MAE", "MAPE", "MSLE", "BCE", "KLD"})


def _object(value: Config, room: str, context: Context) -> Any:
    name = str(value.get("class_name"))
    registered = str(value.get("registered_name") or name)
    if name == "function":
        return _function(value, room, context)
    if context.is_custom(registered) or context.is_custom(name) or ">" in name:
        return {"module": None, "registered_name": registered, **value}
    inner = dict(value.get("config") or {})
    if name == "LossFunctionWrapper" and isinstance(inner.get("fn"), str):
        return _function({"config": inner["fn"]}, room, context)
    if "fn" in inner:
        del inner["fn"]
        context.applied["function of a loss"] += 1
    if inner.get("reduction") in _REDUCTIONS:
        inner["reduction"] = _REDUCTIONS[inner["reduction"]]
        context.applied["reduction left to Keras"] += 1
    if isinstance(inner.get("dtype"), dict):
        inner["dtype"] = objects.dtype(inner["dtype"], context)
    found = builtin_class(name, f"keras.{room}")
    if found is None:
        return {**value, "config": inner, "module": value.get("module")}
    inner = _accepted(found, inner)
    return {"module": f"keras.{room}", "class_name": name, "config": inner, "registered_name": None}


def _function(value: Config, room: str, context: Context) -> Any:
    name = str(value.get("config"))
    if context.is_custom(name):
        return objects.function(name)
    name = name.rpartition(">")[2]
    return _metric_named(name, context) if room == "metrics" else _named(name, room, context)


def _accepted(cls: type, inner: Config) -> Config:
    """Arguments without those at None that the class does not have."""
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return inner
    return {key: value for key, value in inner.items() if key in parameters or value is not None}


# ---------------------------------------------------------------------------- optimizers


def optimizer(value: Config, context: Context) -> Config:
    """An optimizer with its arguments of today.

    Raises:
        UpgradeError: if it did something that no optimizer of Keras 3 does.
    """
    stored = str(value.get("class_name"))
    registered = str(value.get("registered_name") or stored)
    # TensorFlow 2.11 to 2.14 registered Keras's own as Custom.
    bare = stored.rpartition(">")[2]
    if context.is_custom(registered) or context.is_custom(stored) or context.is_custom(bare):
        return {**value, "module": None, "class_name": bare, "registered_name": registered}
    inner = dict(value.get("config") or {})
    if bare in ("LossScaleOptimizer", "LossScaleOptimizerV1", "LossScaleOptimizerV3"):
        return _loss_scale(inner, context)
    name = {"sgd": "SGD", "adam": "Adam", "rmsprop": "RMSprop"}.get(bare, bare)
    if builtin_class(name, "keras.optimizers") is None or (">" in stored and not stored.startswith("Custom>")):
        return {**value, "module": None, "registered_name": registered}
    ours = not context.era.modern and _had_another_meaning(name, inner)
    _old_arguments(name, inner, context)
    for key in _RUNTIME:
        inner.pop(key, None)
    if ours:
        cls = objects.kio_class(name, context)
        return {**cls, "config": {k: v for k, v in inner.items() if v is not None}}
    found: Any = builtin_class(name, "keras.optimizers")
    inner = _accepted(found, {k: v for k, v in inner.items() if v is not None or k not in _CLIPS})
    return {"module": "keras.optimizers", "class_name": name, "config": inner, "registered_name": None}


def _had_another_meaning(name: str, inner: Config) -> bool:
    """Whether Keras 3's optimizer of this name does something else; see ``kio.layers.optimizers``."""
    if name == "Nadam":
        return True
    # Those of TensorFlow 2.11 and later know of averages; their meaning is today's.
    return "use_ema" not in inner and (name == "Adagrad" or (name == "RMSprop" and not inner.get("momentum")))


def _old_arguments(name: str, inner: Config, context: Context) -> None:
    if name == "Adagrad" and (_multi_backend(context) or "lr" in inner):
        # Sums of squares began at nothing, which was no argument.
        inner.setdefault("initial_accumulator_value", 0.0)
    if "lr" in inner:
        inner["learning_rate"] = inner.pop("lr")
        context.applied["lr"] += 1
    rate = inner.get("learning_rate")
    if isinstance(rate, dict):
        inner["learning_rate"] = _schedule(rate, context)
    if inner.get("epsilon", 0) is None:
        del inner["epsilon"]  # Keras's own
    decay = inner.pop("decay", None)
    if name == "Nadam" and not context.era.modern:
        # OptimizerV2 stored this one as decay, which may be 0; the optimizers since 2.11 have none.
        usual = (1.0 if "use_ema" in inner else 0.004) if decay is None else decay
        inner.setdefault("schedule_decay", usual)
    elif decay:
        inner["learning_rate"] = _decayed(inner.get("learning_rate", 0.001), decay, context)
    if not context.era.modern and sum(inner.get(key) is not None for key in _CLIPS) > 1:
        raise refuse(f"clipping of {name}", "one of " + ", ".join(_CLIPS), "several")
    if inner.get("clipnorm") is not None and _multi_backend(context):
        # The norm of all gradients together, until tf.keras took them one by one.
        inner["global_clipnorm"] = inner.pop("clipnorm")
        context.applied["clipnorm of all gradients"] += 1


def _decayed(rate: Any, decay: float, context: Context) -> Config:
    """A learning rate under ``decay``, as a schedule."""
    context.applied["decay of the learning rate"] += 1
    if isinstance(rate, dict):
        return {**objects.kio_class("DecayedSchedule", context), "config": {"schedule": rate, "decay": decay}}
    return {
        "module": "keras.optimizers.schedules",
        "class_name": "InverseTimeDecay",
        "config": {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay, "staircase": False},
        "registered_name": None,
    }


def _schedule(value: Config, context: Context) -> Config:
    name = str(value.get("class_name"))
    if context.is_custom(name) or builtin_class(name, "keras.optimizers.schedules") is None:
        return {"module": None, "registered_name": name, **value}
    # A name of None was the default; today it must be a text.
    inner = {k: v for k, v in (value.get("config") or {}).items() if k != "name" or v is not None}
    return {"module": "keras.optimizers.schedules", "class_name": name, "config": inner, "registered_name": None}


def _multi_backend(context: Context) -> bool:
    version = context.era.version
    return version is None or (version < (2, 4) and not str(context.era.text).endswith("-tf"))


def _loss_scale(inner: Config, context: Context) -> Config:
    within = inner.get("inner_optimizer", inner.get("optimizer"))
    if not isinstance(within, dict):
        raise refuse("LossScaleOptimizer", "an optimizer inside", within)
    scale = inner.get("initial_scale")
    fixed = inner.get("dynamic") is False
    if scale is None and isinstance(inner.get("loss_scale"), dict):
        older = inner["loss_scale"].get("config") or {}
        fixed = inner["loss_scale"].get("class_name") == "FixedLossScale"
        scale = older.get("loss_scale_value" if fixed else "initial_loss_scale")
    made: Config = {"inner_optimizer": optimizer(within, context)}
    if fixed:
        # An argument of every optimizer today.
        made["inner_optimizer"]["config"]["loss_scale_factor"] = scale
        context.applied["fixed scale of the loss"] += 1
        return cast(Config, made["inner_optimizer"])
    if scale is not None:
        made["initial_scale"] = scale
    if inner.get("dynamic_growth_steps") is not None:
        made["dynamic_growth_steps"] = inner["dynamic_growth_steps"]
    return {
        "module": "keras.optimizers",
        "class_name": "LossScaleOptimizer",
        "config": made,
        "registered_name": None,
    }
