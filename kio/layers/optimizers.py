"""Optimizers and schedules that Keras 3 has under the same name and with another meaning.

| class         | then                                             | Keras 3's                        |
|---------------|--------------------------------------------------|----------------------------------|
| RMSprop       | g / (sqrt(v) + epsilon), without momentum        | g / sqrt(v + epsilon)            |
| Adagrad       | g / (sqrt(a) + epsilon)                          | g / sqrt(a + epsilon)            |
| Nadam         | momentum 1 - 0.5 * 0.96 ** (decay * step)        | decay is 1; the product of all   |
|               |                                                  | momenta is lost with each load,  |
|               |                                                  | and on jax with each step        |
| DecayedSchedule | a schedule, divided by 1 + decay * step        | no ``decay``                     |

Spec: ``keras/optimizers.py`` of Keras 2.0 to 2.3; ``optimizers/legacy`` of tf.keras 2.11 to 2.15.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

_registered = keras.saving.register_keras_serializable

# Beyond this a product of momenta is nothing beside the one that it is taken from.
_NOTHING = 1e-20
_MOST_STEPS = 1 << 17


@_registered("kio", "RMSprop")
class RMSprop(keras.optimizers.RMSprop):  # type: ignore[misc]
    """Keras 1's and 2's: epsilon is added to the root, not below it.

    Args:
        options: As of ``keras.optimizers.RMSprop``; without momentum.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        at = self._get_variable_index(variable)
        rate, gradient = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        velocity = self._velocities[at]
        self.assign(velocity, self.rho * velocity + (1 - self.rho) * ops.square(gradient))
        below = velocity
        if self.centered:
            average = self._average_gradients[at]
            self.assign(average, self.rho * average + (1 - self.rho) * gradient)
            below = velocity - ops.square(average)
        self.assign_sub(variable, rate * gradient / (ops.sqrt(below) + self.epsilon))


@_registered("kio", "Adagrad")
class Adagrad(keras.optimizers.Adagrad):  # type: ignore[misc]
    """Keras 1's and 2's: epsilon is added to the root, not below it.

    Args:
        options: As of ``keras.optimizers.Adagrad``.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate, gradient = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        accumulator = self._accumulators[self._get_variable_index(variable)]
        self.assign_add(accumulator, ops.square(gradient))
        self.assign_sub(variable, rate * gradient / (ops.sqrt(accumulator) + self.epsilon))


@_registered("kio", "Nadam")
class Nadam(keras.optimizers.Nadam):  # type: ignore[misc]
    """Nadam whose momenta depend on nothing but the number of the step.

    Args:
        schedule_decay: How fast the momentum grows: 0.004 in Keras 1 and 2 and in
            ``tf.keras.optimizers.legacy``, 1 in TensorFlow 2.11 and later.
        options: As of ``keras.optimizers.Nadam``.
    """

    def __init__(self, *arguments: Any, schedule_decay: float = 1.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.schedule_decay = schedule_decay

    def build(self, variables: Any) -> None:
        if self.built:
            return
        # Keras's own has one variable more: the product, which tf.keras did not save.
        super(keras.optimizers.Nadam, self).build(variables)
        self._momentums, self._velocities = [], []
        for variable in variables:
            self._momentums.append(self.add_variable_from_reference(variable, name="momentum"))
            self._velocities.append(self.add_variable_from_reference(variable, name="velocity"))
        # The product of the momenta up to each step, for as many steps as it is more than nothing.
        steps = np.arange(1, _MOST_STEPS + 1, dtype="float64")
        products = np.cumprod(self.beta_1 * (1 - 0.5 * 0.96 ** (self.schedule_decay * steps)))
        n = min(len(products), int(np.searchsorted(-products, -_NOTHING)) + 2)
        self._products = products[:n]

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        # Keras's own keeps a product of its own here; what comes behind it is every optimizer's.
        super(keras.optimizers.Nadam, self)._backend_update_step(grads, trainable_variables, learning_rate)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        at, dtype = self._get_variable_index(variable), variable.dtype
        rate, gradient = ops.cast(learning_rate, dtype), ops.cast(gradient, dtype)
        step = ops.cast(self.iterations + 1, dtype)
        decay = ops.cast(0.96, dtype)
        now = self.beta_1 * (1 - 0.5 * ops.power(decay, self.schedule_decay * step))
        then = self.beta_1 * (1 - 0.5 * ops.power(decay, self.schedule_decay * (step + 1)))
        index = ops.minimum(ops.cast(self.iterations, "int32"), len(self._products) - 1)
        product = ops.take(ops.convert_to_tensor(self._products, dtype), index)
        m, v = self._momentums[at], self._velocities[at]
        self.assign(m, self.beta_1 * m + (1 - self.beta_1) * gradient)
        self.assign(v, self.beta_2 * v + (1 - self.beta_2) * ops.square(gradient))
        mean = then * m / (1 - product * then) + (1 - now) * gradient / (1 - product)
        root = ops.sqrt(v / (1 - ops.power(ops.cast(self.beta_2, dtype), step)))
        self.assign_sub(variable, rate * mean / (root + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "schedule_decay": self.schedule_decay}


@_registered("kio", "DecayedSchedule")
class DecayedSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A schedule under the ``decay`` of an old optimizer: ``schedule(step) / (1 + decay * step)``.

    Args:
        schedule: A ``LearningRateSchedule``.
        decay: Of the optimizer.
    """

    def __init__(self, schedule: Any, decay: float) -> None:
        super().__init__()
        self.schedule = schedule
        self.decay = decay

    def __call__(self, step: Any) -> Any:
        rate = self.schedule(step)
        return rate / (1 + self.decay * ops.cast(step, rate.dtype))

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.optimizers.schedules.serialize(self.schedule), "decay": self.decay}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> DecayedSchedule:
        schedule = config["schedule"]
        if isinstance(schedule, dict):
            schedule = keras.optimizers.schedules.deserialize(schedule, custom_objects)
        return cls(schedule, config["decay"])
