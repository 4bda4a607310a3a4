"""Custom classes of the Keras 3 corpus.

Import this module before loading a corpus model: it registers every class under the package
``kio_corpus``.  It runs under every Keras 3 version.
"""

from __future__ import annotations

import keras

register = keras.saving.register_keras_serializable(package="kio_corpus")


# ---- models whose attribute names sort around "layers" -------------------------------------------------


@register
class Before(keras.Model):
    """All attributes sort before ``layers``."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dec = keras.layers.Dense(3, name="decoder")
        self.enc = keras.layers.Dense(5, activation="tanh", name="encoder")

    def call(self, x):
        return self.dec(self.enc(x))


@register
class After(keras.Model):
    """All attributes sort after ``layers``."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.zs = keras.layers.Dense(5, activation="tanh", name="first")
        self.main = keras.layers.Dense(5, activation="tanh", name="second")
        self.top = keras.layers.LayerNormalization(name="norm")

    def call(self, x):
        return self.top(self.main(self.zs(x)))


@register
class Around(keras.Model):
    """Attributes on both sides of ``layers``, of equal shapes, created in reverse order."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.z2 = keras.layers.Dense(4)
        self.z1 = keras.layers.Dense(4)
        self.Upper = keras.layers.Dense(4)
        self.b = keras.layers.Dense(4)
        self.a = keras.layers.Dense(4)

    def call(self, x):
        return self.z2(self.z1(keras.ops.tanh(self.Upper(self.b(self.a(x))))))


@register
class PrivateAlias(keras.Model):
    """One layer under a private and a public name, and one under a private name only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.public = keras.layers.Dense(4)
        self._alias = self.public
        self._hidden = keras.layers.Dense(4)
        self.block = keras.layers.Dense(4)
        self._zz = self.block

    def call(self, x):
        return self.public(self._hidden(self.block(x)))


@register
class VarsAttribute(keras.Model):
    """A layer called ``vars``, the word the format uses itself, and one called ``layers_0``."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layers_0 = keras.layers.Dense(4)
        self.vars = keras.layers.Dense(4)

    def call(self, x):
        return self.vars(self.layers_0(x))


@register
class Mixed(keras.Model):
    """Own weights of the model itself beside weights of its layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gain = self.add_weight(shape=(4,), initializer="ones", name="gain")
        self.dense = keras.layers.Dense(4)
        self.mean_output = keras.metrics.Mean(name="mean_output")

    def call(self, x):
        return self.gain * self.dense(x)


@register
class FunctionalSubclass(keras.Model):
    """A Functional model made by a subclass that also keeps its layers as attributes."""

    def __init__(self, units=4, **kwargs):
        inputs = keras.Input((4,))
        first = keras.layers.Dense(units, activation="relu")
        last = keras.layers.Dense(units)
        super().__init__(inputs=inputs, outputs=last(first(inputs)), **kwargs)
        self.units = units
        self.backbone = last
        self.zhead = first

    def get_config(self):
        return {"units": self.units, "name": self.name}


# ---- containers of layers ------------------------------------------------------------------------------


@register
class MLPBlock2D(keras.layers.Layer):
    """A layer of two layers with a name that snake-casing has to work for."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.up = keras.layers.Dense(units, activation="tanh")
        self.down = keras.layers.Dense(units)

    def build(self, input_shape):
        self.up.build(input_shape)
        self.down.build((*input_shape[:-1], self.units))
        self.built = True

    def call(self, x):
        return self.down(self.up(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def _call_all(x, layers):
    for layer in layers:
        x = layer(x)
    return x


@register
class ListLayer(keras.layers.Layer):
    """Flat list, tuple and dict of layers in a layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [keras.layers.Dense(4), MLPBlock2D(4), keras.layers.Dense(4)]
        self.pair = (keras.layers.Dense(4, name="pair_b"), keras.layers.Dense(4, name="pair_a"))
        self.table = {"z": keras.layers.Dense(4), "a": keras.layers.Dense(4)}

    def call(self, x):
        return _call_all(x, [*self.blocks, *self.pair, *self.table.values()])


@register
class ListModel(keras.Model):
    """Flat list, tuple and dict of layers in a model; one layer is in two of them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        shared = keras.layers.Dense(4, name="shared")
        self.blocks = [keras.layers.Dense(4), shared, MLPBlock2D(4), keras.layers.Dense(4)]
        self.table = {"z": keras.layers.Dense(4), "a": keras.layers.Dense(4), "s": shared}
        self.pair = (keras.layers.Dense(4), keras.layers.Dense(4))

    def call(self, x):
        return _call_all(x, [*self.blocks, *self.table.values(), *self.pair])


def _nested(dense):
    return [(dense(), dense()), [dense()], {"q": dense(), "p": [dense(), (dense(),)]}]


def _flat(tree):
    if isinstance(tree, keras.layers.Layer):
        return [tree]
    return [leaf for part in (tree.values() if hasattr(tree, "values") else tree) for leaf in _flat(part)]


@register
class NestedListLayer(keras.layers.Layer):
    """Containers in containers in a layer: silently absent from files of Keras before 3.15."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.nest = _nested(lambda: keras.layers.Dense(4))
        self.plain = keras.layers.Dense(4)

    def build(self, input_shape):
        for layer in _flat(self.nest):
            layer.build(input_shape)
        self.plain.build(input_shape)
        self.built = True

    def call(self, x):
        return self.plain(_call_all(x, _flat(self.nest)))


@register
class NestedListModel(keras.Model):
    """Containers in containers in a model: under ``layers/`` before Keras 3.15, ``container`` since."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.nest = _nested(lambda: keras.layers.Dense(4))
        self.plain = keras.layers.Dense(4)

    def call(self, x):
        return self.plain(_call_all(x, _flat(self.nest)))


@register
class SetModel(keras.Model):
    """A set of one layer (more would be stored in hash order)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.bag = {keras.layers.Dense(4)}
        self.out = keras.layers.Dense(4)

    def call(self, x):
        return self.out(_call_all(x, list(self.bag)))


@register
class SharedParts(keras.Model):
    """Two sub-models that own the same layer, which both store."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        trunk = keras.layers.Dense(4, name="trunk")
        self.left = keras.Sequential([trunk, keras.layers.Dense(4)], name="left")
        self.right = keras.Sequential([keras.layers.Dense(4), trunk], name="right")

    def call(self, x):
        return self.left(x) + self.right(x)


# ---- layers with unusual variables ---------------------------------------------------------------------


@register
class ManyVariables(keras.layers.Layer):
    """Twelve weights of one shape: keys 10 and 11 sort before 2 as text."""

    def build(self, input_shape):
        self.parts = [
            self.add_weight(
                shape=(input_shape[-1],), initializer="ones", name=f"part_{k}", trainable=k % 3 != 0
            )
            for k in range(12)
        ]
        self.built = True

    def call(self, x):
        for k, part in enumerate(self.parts):
            x = x * part + 0.1 * k
        return x


@register
class Scalars(keras.layers.Layer):
    """Scalar weights."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.shift = self.add_weight(shape=(), initializer="zeros", name="shift", trainable=False)
        self.built = True

    def call(self, x):
        return x * self.scale + self.shift


@register
class OddDtypes(keras.layers.Layer):
    """Weights of every dtype that a variable may have and the format can hold."""

    DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "bfloat16", "float32")

    def build(self, input_shape):
        self.parts = [
            self.add_weight(
                shape=(3, 5), initializer="zeros", name=f"w_{dtype}", dtype=dtype, trainable=False
            )
            for dtype in self.DTYPES
        ]
        self.built = True

    def call(self, x):
        return x + sum(keras.ops.mean(keras.ops.cast(part, "float32")) for part in self.parts)


@register
class EmptyVariable(keras.layers.Layer):
    """A weight without elements between two with."""

    def build(self, input_shape):
        self.a = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="a")
        self.none = self.add_weight(shape=(0, 3), initializer="zeros", name="none")
        self.z = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="z")
        self.built = True

    def call(self, x):
        return x * self.a + self.z


@register
class Noise(keras.layers.Layer):
    """A layer that owns a seed generator and a weight."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(11)

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        self.built = True

    def call(self, x, training=False):
        if training:
            x = x + keras.random.normal(keras.ops.shape(x), seed=self.seed_generator)
        return x * self.scale


@register
class LateFreeze(keras.layers.Layer):
    """Weights whose creation order mixes trainable and not."""

    def build(self, input_shape):
        n = input_shape[-1]
        self.a = self.add_weight(shape=(n,), initializer="zeros", name="a", trainable=False)
        self.b = self.add_weight(shape=(n,), initializer="zeros", name="b")
        self.c = self.add_weight(shape=(n,), initializer="zeros", name="c", trainable=False)
        self.d = self.add_weight(shape=(n,), initializer="zeros", name="d")
        self.built = True

    def call(self, x):
        return ((x * self.a + self.b) * self.c) + self.d


# ---- layers that store themselves ----------------------------------------------------------------------


@register
class NamedStore(keras.layers.Dense):
    """Stores its variables under names of its own."""

    def save_own_variables(self, store):
        store["the_kernel"] = keras.ops.convert_to_numpy(self._kernel_variable)
        store["the_bias"] = keras.ops.convert_to_numpy(self.bias)

    def load_own_variables(self, store):
        self._kernel_variable.assign(store["the_kernel"])
        self.bias.assign(store["the_bias"])

    @property
    def _kernel_variable(self):
        return self._kernel if hasattr(self, "_kernel") else self.kernel


@register
class ExtraStore(keras.layers.Layer):
    """Stores one variable transposed and a constant that is no variable, and drops one variable."""

    def build(self, input_shape):
        self.matrix = self.add_weight(shape=(input_shape[-1], 3), initializer="ones", name="matrix")
        self.dropped = self.add_weight(shape=(3,), initializer="zeros", name="dropped")
        self.built = True

    def call(self, x):
        return keras.ops.matmul(x, self.matrix) + self.dropped

    def save_own_variables(self, store):
        store["transposed"] = keras.ops.convert_to_numpy(self.matrix).T
        store["format"] = 2

    def load_own_variables(self, store):
        if int(store["format"][()]) != 2:
            raise ValueError("unknown format")
        self.matrix.assign(store["transposed"][:].T)
        self.dropped.assign(keras.ops.zeros((3,)))


@register
class SlashStore(keras.layers.Layer):
    """Keys with a slash become groups in the file."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w")
        self.built = True

    def call(self, x):
        return x * self.w

    def save_own_variables(self, store):
        store["inner/w"] = keras.ops.convert_to_numpy(self.w)

    def load_own_variables(self, store):
        self.w.assign(store["inner/w"])


@register
def jax_init(rng, inputs):
    del rng
    return {"w": keras.ops.ones((inputs.shape[-1], 3)), "b": [keras.ops.zeros((3,)), keras.ops.zeros((3,))]}


@register
def jax_call(params, inputs):
    return keras.ops.tanh(keras.ops.matmul(inputs, params["w"]) + params["b"][0]) * params["b"][1]


@register
class AssetLayer(keras.layers.Layer):
    """Writes files of its own into the assets."""

    def __init__(self, words=(), **kwargs):
        super().__init__(**kwargs)
        self.words = list(words)
        self.factor = 1.0

    def call(self, x):
        return x * self.factor

    def save_assets(self, inner_path):
        with open(f"{inner_path}/words.txt", "w", encoding="utf-8") as file:
            file.write("\n".join(self.words))
        with open(f"{inner_path}/factor.bin", "wb") as file:
            file.write(b"\x00\x01\xff" * 5)

    def load_assets(self, inner_path):
        with open(f"{inner_path}/words.txt", encoding="utf-8") as file:
            self.words = file.read().split("\n")
        with open(f"{inner_path}/factor.bin", "rb") as file:
            self.factor = float(len(file.read()))
