"""Layers and constraints of tf.keras that Keras 3 dropped or bounded, one by one."""

from __future__ import annotations

import math
import threading
from typing import Any

import keras
from keras import constraints, initializers, ops

# The model that a thread is about to run, and in which mode.
_modes = threading.local()


def _functional() -> type:
    # With a layer between, which Keras 3.10 wants; all named, so that no automatic name of the user's moves on.
    x = keras.Input((1,), name="kio_input")
    base: Any = type(keras.Model(x, keras.layers.Identity(name="kio_identity")(x), name="kio_model"))

    class Functional(base):  # type: ignore[misc]
        """A functional model whose calls keep the ``training`` that they were made with.

        ``layer(x, training=False)`` in the graph of a model meant that in Keras 2 whatever the
        model itself was called with: frozen statistics while fine-tuning, dropout that never
        stops.  Keras 3 hands the model's own mode to every layer.  Where it does not, the mode of
        one call becomes that of all calls behind it; so every call is told its mode here.
        """

        def call(self, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
            _modes.of = self, bool(training)
            return super().call(inputs, training=bool(training), mask=mask, **kwargs)

        def _run_through_graph(self, *args: Any, **kwargs: Any) -> Any:
            model, mode = getattr(_modes, "of", (None, False))
            if model is not self:
                return super()._run_through_graph(*args, **kwargs)  # no call: shapes alone are asked for
            _modes.of = None, False

            def told(operation: Any) -> Any:
                def call(*args: Any, **kwargs: Any) -> Any:
                    if kwargs.get("training") is None and getattr(operation, "_call_has_training_arg", False):
                        kwargs["training"] = mode
                    return operation(*args, **kwargs)

                return call

            return super()._run_through_graph(*args, **{**kwargs, "operation_fn": told})

    return Functional


Functional: Any = keras.saving.register_keras_serializable("kio", "Functional")(_functional())


@keras.saving.register_keras_serializable("kio", "LayerNormalization")
class LayerNormalization(keras.layers.LayerNormalization):  # type: ignore[misc]
    """Over axes that are not the last ones, too, alike on all backends.

    Since 3.11 Keras hands axes in a row to torch, which normalizes the last ones whatever they are.
    """

    def call(self, inputs: Any) -> Any:
        rank = len(inputs.shape)
        axes = sorted(axis % rank for axis in ([self.axis] if isinstance(self.axis, int) else self.axis))
        if axes == list(range(rank - len(axes), rank)):
            return super().call(inputs)
        # As Keras does elsewhere: half precision has not enough digits for a variance.
        x = ops.cast(inputs, "float64" if self.compute_dtype == "float64" else "float32")
        shape = [n if axis in axes else 1 for axis, n in enumerate(inputs.shape)]
        mean, variance = ops.moments(x, axes=axes, keepdims=True)
        made = ops.multiply(ops.subtract(x, mean), ops.rsqrt(variance + self.epsilon))
        if self.gamma is not None:
            made = ops.multiply(made, ops.cast(ops.reshape(self.gamma, shape), x.dtype))
        if self.beta is not None:
            made = ops.subtract(made, ops.negative(ops.cast(ops.reshape(self.beta, shape), x.dtype)))
        return ops.cast(made, self.compute_dtype)


@keras.saving.register_keras_serializable("kio", "RandomFourierFeatures")
class RandomFourierFeatures(keras.layers.Layer):  # type: ignore[misc]
    """``cos(x W / scale + b)`` with random W and b: features for a kernel machine.

    Args:
        output_dim: Number of features.
        kernel_initializer: ``"gaussian"``, ``"laplacian"`` or an initializer.
        scale: Width of the kernel; None takes ``sqrt(d / 2)`` for ``"gaussian"``, else 1.

    Weights: kernel and bias, never trained, and the scale, trained if the layer is.
    """

    def __init__(
        self,
        output_dim: int,
        kernel_initializer: Any = "gaussian",
        scale: Any = None,
        trainable: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(trainable=trainable, **options)
        self.output_dim, self.kernel_initializer, self.scale = output_dim, kernel_initializer, scale

    def build(self, input_shape: Any) -> None:
        n = input_shape[-1]
        named = isinstance(self.kernel_initializer, str)
        known = {"gaussian": initializers.RandomNormal(stddev=1.0), "laplacian": _Laplacian()}
        start = known.get(self.kernel_initializer.lower()) if named else initializers.get(self.kernel_initializer)
        if start is None:
            start = initializers.get(self.kernel_initializer)
        self.unscaled_kernel = self.add_weight(
            name="unscaled_kernel", shape=(n, self.output_dim), initializer=start, trainable=False
        )
        phase = initializers.RandomUniform(0.0, 2 * math.pi)
        self.bias = self.add_weight(name="bias", shape=(self.output_dim,), initializer=phase, trainable=False)
        default = math.sqrt(n / 2.0) if named and self.kernel_initializer.lower() == "gaussian" else 1.0
        width = initializers.Constant(default if self.scale is None else self.scale)
        # Keras 2 asked for the constraint of a positive number only.
        self.kernel_scale = self.add_weight(
            name="kernel_scale", shape=(1,), initializer=width, trainable=True, constraint="non_neg"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        kernel = ops.divide(self.unscaled_kernel, self.kernel_scale)
        return ops.cos(ops.add(ops.matmul(ops.cast(inputs, "float32"), kernel), self.bias))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.output_dim)

    def get_config(self) -> dict[str, Any]:
        own = {"output_dim": self.output_dim, "kernel_initializer": self.kernel_initializer, "scale": self.scale}
        return {**super().get_config(), **own}


class _Laplacian(initializers.Initializer):  # type: ignore[misc]
    """Draws from Cauchy's distribution, whose Fourier transform is Laplace's."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        draw = keras.random.uniform(shape, 0.0, 1.0, dtype=dtype)
        return ops.tan(math.pi * (draw - 0.5))


@keras.saving.register_keras_serializable("kio", "RadialConstraint")
class RadialConstraint(constraints.Constraint):  # type: ignore[misc]
    """Kernels ``(n, n, in, out)`` of rings with one value each.

    tf.keras took the values from the diagonal: the middle from the cell before it, the rings
    from the cells behind, so that an odd kernel's middle is the value one place off.
    """

    def __call__(self, w: Any) -> Any:
        n = w.shape[0]
        if len(w.shape) != 4 or w.shape[1] != n:
            raise ValueError(f"RadialConstraint: expected a square kernel of four dimensions, found {tuple(w.shape)}")
        start, rings = n // 2, (n + 1) // 2

        def source(ring: int) -> int:
            return int(start - 1 if ring == 0 else start + ring - (n % 2))

        places = [[source(rings - 1 - min(r, c, n - 1 - r, n - 1 - c)) for c in range(n)] for r in range(n)]
        return ops.stack([ops.stack([w[i, i] for i in row]) for row in places])
