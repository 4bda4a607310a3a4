"""Model kinds that every Keras 3 can build: the matter of the equality tests.

``made`` skips those that an older Keras does not have, by a table; any other failure is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

KINDS: dict[str, Callable[[], Any]] = {}
# From this Keras on every kind is there.
NEWEST = (3, 15)
VERSION = tuple(map(int, keras.__version__.split(".")[:2]))
# What the Keras before these cannot build, and why.
SINCE: dict[str, tuple[tuple[int, int], str]] = {
    "normalization_given": ((3, 10), "Normalization takes one number for all features"),
    "int8": ((3, 3), "models are quantized"),
    "float8": ((3, 3), "models are quantized"),
}


class WithGate(layers.Dense):
    """Has a weight that Dense does not know."""

    def build(self, shape: Any) -> None:
        super().build(shape)
        self.gate = self.add_weight(shape=(3,), name="gate")


def dense_stores_all() -> bool:
    """Whether a Dense of this Keras stores whatever it has, as before models were quantized."""
    layer = WithGate(3)
    layer.build((None, 4))
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    return len(store) == 3


def missing(name: str) -> str:
    """Why this Keras cannot build a kind; empty if it can."""
    since, what = SINCE.get(name, ((3, 0), ""))
    return f"{what} since {since[0]}.{since[1]}" if since > VERSION else ""


def made(name: str) -> Any:
    """The model of a kind; skips what this Keras does not have."""
    if missing(name):
        pytest.skip(missing(name))
    return KINDS[name]()


def kind(build: Callable[[], Any]) -> Callable[[], Any]:
    KINDS[build.__name__] = build
    return build


def chain(*members: Any, shape: tuple[int | None, ...] = (8,), **options: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *members], **options)


@kind
def sequential() -> Any:
    return chain(layers.Dense(16, activation="relu"), layers.Dense(4))


@kind
def sequential_unbuilt() -> Any:
    return keras.Sequential([layers.Dense(16), layers.Dense(4)])


@kind
def functional() -> Any:
    inputs = keras.Input((8,))
    x = layers.Dense(8, activation="gelu", name="first")(inputs)
    return keras.Model(inputs, layers.Add()([x, inputs]))


@kind
def multi_input_output() -> Any:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    x = layers.Concatenate()([a, b])
    return keras.Model({"a": a, "b": b}, [layers.Dense(2)(x), layers.Dense(3)(x)])


@kind
def shared_layer() -> Any:
    a, b = keras.Input((4,)), keras.Input((4,))
    dense = layers.Dense(5)
    return keras.Model([a, b], layers.Multiply()([dense(a), dense(b)]))


@kind
def nested() -> Any:
    inner = chain(layers.Dense(6), layers.BatchNormalization())
    inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(2)(inner(inputs)))


@kind
def nested_frozen() -> Any:
    inner = chain(layers.Dense(6), layers.Dense(5))
    inner.layers[0].trainable = False
    inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(2)(inner(inputs)))


@kind
def convolutions() -> Any:
    return chain(
        layers.Conv2D(4, 3, padding="same"),
        layers.DepthwiseConv2D(3),
        layers.SeparableConv2D(5, 3),
        layers.Conv2DTranspose(3, 2),
        layers.GlobalAveragePooling2D(),
        shape=(12, 12, 3),
    )


@kind
def normalisations() -> Any:
    return chain(
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.UnitNormalization(),
        layers.GroupNormalization(2),
    )


@kind
def lstm() -> Any:
    return chain(layers.LSTM(6, return_sequences=True), layers.GRU(5), shape=(7, 3))


@kind
def bidirectional() -> Any:
    return chain(layers.Bidirectional(layers.LSTM(4)), shape=(7, 3))


@kind
def stacked_cells() -> Any:
    return chain(layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)]), shape=(7, 3))


@kind
def conv_lstm() -> Any:
    return chain(layers.ConvLSTM1D(4, 3), shape=(5, 8, 2))


@kind
def time_distributed() -> Any:
    return chain(layers.TimeDistributed(layers.Dense(4)), layers.BatchNormalization(), shape=(5, 3))


@kind
def embedding() -> Any:
    return chain(layers.Embedding(100, 8), layers.Dense(3), shape=(6,))


@kind
def attention() -> Any:
    inputs = keras.Input((6, 8))
    x = layers.MultiHeadAttention(2, 4)(inputs, inputs)
    x = layers.AdditiveAttention()([x, inputs])
    return keras.Model(inputs, layers.Attention(use_scale=True)([x, inputs]))


@kind
def grouped_attention() -> Any:
    inputs = keras.Input((6, 8))
    return keras.Model(inputs, layers.GroupQueryAttention(4, 4, 2)(inputs, inputs))


@kind
def einsum() -> Any:
    return chain(layers.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d"), shape=(6, 8))


@kind
def operators() -> Any:
    inputs = keras.Input((8,))
    x = keras.ops.relu(inputs * 2.0 + 1.0)
    return keras.Model(inputs, layers.Dense(2)(keras.ops.expand_dims(x, 1)[:, 0]))


@kind
def normalization() -> Any:
    return chain(layers.Normalization(), layers.Dense(2))


@kind
def normalization_given() -> Any:
    return chain(layers.Normalization(mean=2.0, variance=3.0), layers.Dense(2))


@kind
def spectral() -> Any:
    return chain(layers.SpectralNormalization(layers.Dense(4)))


@kind
def dropout() -> Any:
    return chain(layers.Dropout(0.3, seed=5), layers.GaussianNoise(0.1), layers.Dense(2))


@kind
def augmentation() -> Any:
    return chain(layers.RandomFlip(seed=3), layers.Rescaling(1 / 255), layers.Flatten(), shape=(4, 4, 3))


@kind
def prelu() -> Any:
    return chain(layers.PReLU(), layers.LeakyReLU(), layers.Dense(2, kernel_regularizer="l2"))


@kind
def constrained() -> Any:
    return chain(
        layers.Dense(
            4,
            kernel_constraint=keras.constraints.MaxNorm(2),
            kernel_initializer=keras.initializers.Orthogonal(seed=9),
            bias_initializer=keras.initializers.Constant(0.25),
        )
    )


@kind
def mixed_precision() -> Any:
    return chain(layers.Dense(4, dtype="mixed_float16"), layers.Dense(2, dtype="mixed_bfloat16"))


@kind
def bfloat16() -> Any:
    return chain(layers.Dense(4, dtype="bfloat16"), layers.BatchNormalization(dtype="bfloat16"))


@kind
def int8() -> Any:
    model = chain(layers.Dense(4), layers.Dense(3))
    model.quantize("int8")
    return model


@kind
def float8() -> Any:
    model = chain(layers.Dense(4), layers.Dense(3))
    model.quantize("float8")
    return model


@kind
def lora() -> Any:
    model = chain(layers.Dense(4, name="a"), layers.Embedding(10, 4, name="b"))
    model.get_layer("a").enable_lora(2)
    return model


@kind
def seeded_initializer() -> Any:
    generator = keras.random.SeedGenerator(7)
    return chain(
        layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(seed=generator)),
        layers.Dense(4, kernel_initializer=keras.initializers.HeUniform(seed=11)),
    )


def compiled(name: str, optimizer: Callable[[], Any], **options: Any) -> None:
    def build() -> Any:
        model = chain(layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dense(2))
        model.compile(optimizer=optimizer(), loss="mse", metrics=["mae"], **options)
        model.optimizer.build(model.trainable_variables)
        return model

    KINDS[name] = build


compiled("adam", lambda: "adam")
compiled("adamw_ema", lambda: keras.optimizers.AdamW(use_ema=True, global_clipnorm=1.0))
compiled("sgd_momentum", lambda: keras.optimizers.SGD(0.1, momentum=0.9))
compiled("accumulating", lambda: keras.optimizers.Adam(gradient_accumulation_steps=2))
compiled("scheduled", lambda: keras.optimizers.RMSprop(keras.optimizers.schedules.CosineDecay(0.1, 10)))
compiled("ftrl", lambda: keras.optimizers.Ftrl(initial_accumulator_value=0.5))
compiled("adagrad", lambda: keras.optimizers.Adagrad())
compiled("lion", lambda: keras.optimizers.Lion())
compiled("loss_scaled", lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()))
compiled("loss_objects", lambda: "sgd", weighted_metrics=[keras.metrics.MeanSquaredError()])


@kind
def compiled_crossentropy() -> Any:
    model = chain(layers.Dense(3, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(), "sparse_top_k_categorical_accuracy"],
    )
    return model


@keras.saving.register_keras_serializable("kio_tests")
class Gated(layers.Layer):
    """A layer that reads its weights while Keras infers its output shape."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.inner = layers.Dense(units)

    def build(self, input_shape: Any) -> None:
        self.inner.build(input_shape)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.table = self.add_weight(
            shape=(self.units,), initializer=lambda shape, dtype: keras.ops.arange(self.units, dtype=dtype)
        )
        # Derived eagerly from a weight, as Normalization does.
        self.total = float(np.sum(keras.ops.convert_to_numpy(self.table)))

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.scale / keras.ops.sum(keras.ops.abs(self.table)) + self.total

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@kind
def custom_layer() -> Any:
    return chain(Gated(6), layers.Dense(2))


@keras.saving.register_keras_serializable("kio_tests")
class Late(layers.Layer):
    """A layer whose parts are built by being called."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.block = keras.Sequential([layers.Dense(5), layers.Dense(6)])

    def call(self, x: Any) -> Any:
        return self.block(x)


@kind
def late_building() -> Any:
    return chain(Late(), layers.Dense(2))


@keras.saving.register_keras_serializable("kio_tests")
class Subclassed(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = layers.Dense(6)
        self.zeta = [layers.Dense(5), layers.BatchNormalization()]

    def call(self, x: Any) -> Any:
        x = self.alpha(x)
        for layer in self.zeta:
            x = layer(x)
        return x


@kind
def subclassed() -> Any:
    model = Subclassed()
    model.build((None, 8))
    return model


@kind
def subclassed_called() -> Any:
    model = Subclassed()
    model(np.zeros((2, 8), np.float32))
    model.compile("adam", "mse")
    return model
