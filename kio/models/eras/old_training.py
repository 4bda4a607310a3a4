"""What an old model does while it trains, where Keras 3 does something else and no configuration can say so.

Seven things are kept by the live model, not by other layers, so that what is saved or converted stays a
plain model of Keras's own layers.  They change nothing but training; a model that is saved and loaded
again trains by Keras 3's rules, which ``kio info`` and ``kio convert`` say beforehand.

*   ``BatchNormalization`` on images: the kernel behind tf.keras's layer moves its average of variances
    towards sum / (N - 1), Keras 3 towards sum / N.  Outputs differ by a millionth to a few per cent, for
    small batches of small images; a layer of kio's in every network of convolutions would cost more.
*   One weight a sample, for outputs with steps: tf.keras weighted whole samples; Keras 3 lines the
    weights up with the last axis, which is the time.  So with one weight a step, for outputs of a rank more.
*   The loss of tf.keras has the penalties of weights that are not trained in it, too; a number that is always
    the same.
*   A layer that is not trained trains nothing within it, as tf.keras had it.  Keras 3 asks each variable,
    and what a layer makes when it is built does not know of ``trainable=False``.
*   ``BatchNormalization`` of one feature beside a mask: Keras 3 squeezes the axis of features, too, and raises.
*   The norm of a row of zeros: Keras 3 differentiates its inverse before it is bounded, which is NaN.
*   JAX: a layer that is called several times in a step keeps the activity penalty of its last call
    alone, because the step starts behind the place where a model's call begins.

Spec: ``_fused_batch_norm`` of tf_keras 2.21 and ``FusedBatchNormV3``; ``compute_weighted_loss`` of its
``losses_utils``; ``Layer.stateless_call`` and ``Layer._get_call_context`` of Keras 3.15.1.
"""

from __future__ import annotations

import math
from types import MethodType
from typing import Any

import keras
from keras import ops

from kio import layers as old
from kio.keras_private import get_keras_mask
from kio.ops.values import flatten, pack


def keep(model: Any, unfused: frozenset[str] = frozenset(), compiled: Any = None) -> None:
    """Let a model go on training as it did under tf.keras.

    Args:
        model: Made from an old configuration; built or not.
        unfused: Names of normalizations that never ran on that kernel.
        compiled: What it was compiled with.
    """
    if not isinstance(model, keras.Model):
        return
    layers = model._flatten_layers()
    before = [variable.trainable for variable in model.variables]
    for layer in layers:
        if not layer.trainable:
            layer.trainable = False
    if before != [variable.trainable for variable in model.variables] and getattr(model, "optimizer", None) is not None:
        # It has slots for what it must not move, which the file does not have.
        model.compile_from_config(compiled)
    for layer in layers:
        if _normalizes(layer):
            _bind(layer, "_moments", _moments)
            if layer.name not in unfused:
                _bind(layer, "call", _normalized)
        elif type(layer) is keras.layers.UnitNormalization:
            _bind(layer, "call", _unit)
    for part in [model, *(layer for layer in layers if isinstance(layer, keras.Model))]:
        for operation in getattr(part, "operations", ()):
            if type(operation).__name__ == "Normalize" and getattr(operation, "order", None) == 2:
                _bind(operation, "call", _normalize)
    if type(model).compute_loss is keras.Model.compute_loss:
        _bind(model, "compute_loss", _compute_loss)
    if keras.config.backend() == "jax" and any(layer.activity_regularizer is not None for layer in layers):
        _bind(model, "call", _entered)


def _bind(owner: Any, name: str, function: Any) -> None:
    """Let one object have a method of its own; a copy of it has its own, too."""
    # Past Keras, which looks for objects with variables in what is assigned.
    object.__setattr__(owner, name, MethodType(function, owner))


def _normalizes(layer: Any) -> bool:
    return type(layer) in (keras.layers.BatchNormalization, old.BatchNormalization)


def _normalized(layer: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
    """The call of a normalization whose variances are those of samples."""
    stock = type(layer).call
    rank = len(inputs.shape)
    axis = layer.axis % rank
    trains = training and layer.trainable and rank in (4, 5) and axis in (1, rank - 1)
    if type(layer) is keras.layers.BatchNormalization:
        trains = trains and mask is None  # kio's leaves no step of images out
    if not trains or getattr(layer, "renorm", False):
        return stock(layer, inputs, training=training, mask=mask)
    before = ops.convert_to_tensor(layer.moving_variance) * layer.momentum
    made = stock(layer, inputs, training=training, mask=mask)
    step = ops.convert_to_tensor(layer.moving_variance) - before
    shape = ops.shape(inputs)
    n = ops.cast(math.prod(size for k, size in enumerate(shape) if k != axis), step.dtype)
    layer.moving_variance.assign(before + step * (n / ops.maximum(n - 1.0, 1.0)))
    return made


def _moments(layer: Any, inputs: Any, mask: Any) -> Any:
    """Mean and variance of each feature, be there but one."""
    return tuple(ops.reshape(each, (-1,)) for each in type(layer)._moments(layer, inputs, mask))


def _unit(layer: Any, inputs: Any) -> Any:
    """The call of UnitNormalization: tf.keras bounded the square of the norm by 1e-12."""
    return _by_norm(inputs, layer.axis, 1e-12)


def _normalize(operation: Any, x: Any) -> Any:
    """The call of the operation that ``tf.math.l2_normalize`` has become."""
    epsilon = keras.config.epsilon() if operation.epsilon is None else operation.epsilon
    return _by_norm(x, operation.axis, epsilon**2)


def _by_norm(x: Any, axis: Any, least: float) -> Any:
    total = ops.sum(ops.square(x), axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, least)))


def _compute_loss(model: Any, *args: Any, **kwargs: Any) -> Any:
    """``compute_loss`` that gives each weight of a sample to all of its steps, and adds what never changes."""
    given = dict(zip(("x", "y", "y_pred", "sample_weight"), args, strict=False)) | kwargs
    others = args[4:]
    if given.get("sample_weight") is not None:
        given["sample_weight"] = _spread(given["sample_weight"], given.get("y_pred"))
    first = [given.pop(name, None) for name in ("x", "y", "y_pred", "sample_weight")]
    made = type(model).compute_loss(model, *first, *others, **given)
    return made if made is None else sum(_frozen_penalties(model), made)


def _frozen_penalties(model: Any) -> list[Any]:
    """What weights cost that are not trained."""
    found = [v for v in model.variables if not v.trainable and getattr(v, "regularizer", None) is not None]
    return [variable.regularizer(ops.convert_to_tensor(variable)) for variable in found]


def _spread(weight: Any, outputs: Any) -> Any:
    """Weights as they fit the losses of outputs with steps, ``(batch, steps, features)``.

    Args:
        weight: One for all outputs, or one for each.
        outputs: Of the model.
    """
    if isinstance(weight, (list, tuple, dict)):
        flat, wanted = flatten(weight), flatten(outputs)
        if len(flat) != len(wanted):
            return weight
        return pack(weight, [_column(w, o) for w, o in zip(flat, wanted, strict=True)])
    if not isinstance(outputs, (list, tuple, dict)):
        return _column(weight, outputs)
    return pack(outputs, [_column(weight, output) for output in flatten(outputs)])


def _column(weight: Any, output: Any) -> Any:
    """Weights of one output; an axis is added where tf.keras added one: if they lack one of the losses' or the mask's.

    Spec: ``squeeze_or_expand_dimensions`` of tf_keras 2.21's ``losses_utils``.
    """
    if weight is None or not len(weight.shape):
        return weight
    mask = get_keras_mask(output)
    losses = ops.shape(output)[:-1] if mask is None else ops.shape(mask)
    column = ops.convert_to_tensor(weight)
    if len(weight.shape) == len(losses) - 1:
        column = ops.expand_dims(column, -1)
    elif mask is None or len(weight.shape) > len(losses):
        return weight
    # As many as there are, each in its own place: torch multiplies by the mask in place.
    return column * ops.ones(losses, dtype=column.dtype)


def _entered(model: Any, *args: Any, **kwargs: Any) -> Any:
    """The call of a model that begins where the model's call begins, whoever calls it."""
    stock = type(model).call
    context = model._get_call_context()
    if context.entry_layer is not model or getattr(context, "kio_entered", False):
        return stock(model, *args, **kwargs)
    context.kio_entered = True
    if kwargs.get("training") is not None:
        context.training = kwargs["training"]
    try:
        return stock(model, *args, **kwargs)
    finally:
        model._maybe_reset_call_context()
