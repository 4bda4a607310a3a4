"""The models of the Keras 3 corpus: one small function a case, ``CASES`` the table of them.

A function returns ``(model, inputs)``; its docstring says what the file is there to test.  The same function
rebuilds the model for a test of ``load_weights``.  It runs under every Keras 3 version; what a version does
not have raises, and is recorded as skipped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import custom
import keras
import numpy as np
from keras import layers

# Which versions write a case.  All of them; one of each era of the key rules and of what files hold; two, old
# and new; only the newest, for what differs by layer and not by version.
EVERY = None
ERAS = ("3.0.0", "3.0.5", "3.4.1", "3.6.0", "3.10.0", "3.11.3", "3.14.1", "3.15.1")
TWO = ("3.6.0", "3.15.1")
NEWEST = ("3.15.1",)


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table.

    Args:
        build: Makes ``(model, inputs)``.
        versions: The versions that write it, None for all.
        files: What to write: ``keras``, ``weights``, ``directory``, ``sharded``, ``npz``.
        backend: The Keras backend that makes it.
        shard_bytes: Size limit of a shard, in bytes.
    """

    build: Callable[[], tuple[keras.Model, object]]
    versions: tuple[str, ...] | None
    files: tuple[str, ...] = ("keras",)
    backend: str = "jax"
    shard_bytes: int = 2048


CASES: dict[str, Case] = {}


def case(versions, **options):
    def add(build):
        CASES[build.__name__] = Case(build, versions, **options)
        return build

    return add


def numbers(*shape, seed=0, dtype="float32"):
    """Fixed inputs in [-1, 1)."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def integers(high, *shape, seed=0):
    """Fixed inputs in [0, high)."""
    return np.random.default_rng(seed).integers(0, high, shape).astype("int32")


def dense_model(dtype=None, units=4, **dense):
    """Two Dense layers of different shapes."""
    inputs = keras.Input((4,), dtype="float32")
    x = layers.Dense(units + 1, activation="tanh", dtype=dtype, **dense)(inputs)
    return keras.Model(inputs, layers.Dense(units, dtype=dtype, **dense)(x))


# ---- kinds of models -----------------------------------------------------------------------------------


@case(EVERY, files=("keras", "weights"))
def functional():
    """Functional model with automatic names and compiled Adam."""
    model = dense_model()
    model.compile(optimizer="adam", loss="mse")
    return model, numbers(2, 4)


@case(NEWEST)
def functional_multi_io():
    """Named inputs in a dict, two outputs, merge layers."""
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    x = layers.Concatenate()([layers.Dense(4, name="left")(a), layers.Dense(4, name="right")(b)])
    model = keras.Model({"b": b, "a": a}, {"one": layers.Dense(2)(x), "two": layers.Dense(2)(x)})
    return model, {"a": numbers(2, 4), "b": numbers(2, 3, seed=1)}


@case(EVERY)
def sequential():
    """Sequential with Input."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation="relu"), layers.Dense(4)])
    return model, numbers(2, 4)


@case(ERAS)
def sequential_by_call():
    """Sequential without Input, built by its first call."""
    return keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(4)]), numbers(2, 4)


@case(NEWEST)
def sequential_twelve():
    """Twelve layers of one class and shape: dense_10 sorts before dense_2."""
    return keras.Sequential([keras.Input((4,))] + [layers.Dense(4) for _ in range(12)]), numbers(2, 4)


@case(NEWEST)
def subclassed_before():
    """Subclassed model, attributes before "layers"."""
    return custom.Before(), numbers(2, 4)


@case(TWO)
def subclassed_after():
    """Subclassed model, attributes after "layers"."""
    return custom.After(), numbers(2, 4)


@case(EVERY)
def subclassed_around():
    """Subclassed model, attributes on both sides of "layers", all of one shape."""
    return custom.Around(), numbers(2, 4)


@case(TWO)
def subclassed_mixed():
    """Subclassed model with weights of its own and a metric as attribute."""
    model = custom.Mixed()
    model.mean_output.update_state([1.0, 2.0])
    return model, numbers(2, 4)


@case(ERAS)
def private_alias():
    """Subclassed model with private names for a layer."""
    return custom.PrivateAlias(), numbers(2, 4)


@case(ERAS, files=("weights",))
def functional_alias():
    """Functional model with extra attributes, public and private, that are layers of it."""
    model = dense_model()
    model.zz = model.layers[1]
    model._zz = model.layers[2]
    return model, numbers(2, 4)


@case(ERAS, files=("weights",))
def functional_extra_layer():
    """Functional model with attributes that are layers outside its graph (not in its config)."""
    model = dense_model()
    for name in ("aux", "zaux"):
        extra = layers.Dense(4, name=name)
        extra.build((None, 4))
        setattr(model, name, extra)
    return model, numbers(2, 4)


@case(ERAS)
def functional_subclass():
    """Subclass whose constructor calls the Functional one, with layers as attributes."""
    return custom.FunctionalSubclass(), numbers(2, 4)


@case(TWO)
def vars_attribute():
    """Layers in attributes called ``vars`` and ``layers_0``."""
    return custom.VarsAttribute(), numbers(2, 4)


@case(EVERY)
def nested_functional():
    """Functional and Sequential models in a Functional model."""
    functional_part = dense_model()
    sequential_part = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(4)])
    inputs = keras.Input((4,))
    x = sequential_part(functional_part(layers.Dense(4)(inputs)))
    return keras.Model(inputs, layers.Dense(4)(x)), numbers(2, 4)


@case(TWO)
def nested():
    """Functional in Sequential in Functional: a file of 3.0 to 3.9 that later versions cannot load."""
    inner = dense_model()
    middle = keras.Sequential([keras.Input((4,)), layers.Dense(4), inner, layers.Dense(4)])
    inputs = keras.Input((4,))
    x = layers.Dense(4)(inputs)
    return keras.Model(inputs, layers.Dense(4)(middle(x))), numbers(2, 4)


@case(NEWEST)
def nested_frozen():
    """Nested model of which one inner layer is frozen, and one whole frozen nested model."""
    inner, outer = dense_model(), dense_model()
    inner.layers[1].trainable = False
    outer.trainable = False
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(4)(outer(inner(inputs))))
    model.compile(optimizer="adam", loss="mse")
    return model, numbers(2, 4)


# ---- containers and sharing ----------------------------------------------------------------------------


@case(NEWEST)
def list_layer():
    """Flat list, tuple and dict of layers in a layer."""
    return keras.Sequential([keras.Input((4,)), custom.ListLayer()]), numbers(2, 4)


@case(EVERY)
def list_model():
    """Flat list, tuple and dict of layers in a model, one layer twice."""
    return custom.ListModel(), numbers(2, 4)


@case(ERAS)
def nested_list_layer():
    """Lists in lists in a layer (absent from files before 3.15)."""
    return keras.Sequential([keras.Input((4,)), custom.NestedListLayer()]), numbers(2, 4)


@case(EVERY)
def nested_list_model():
    """Lists in lists in a model."""
    return custom.NestedListModel(), numbers(2, 4)


@case(ERAS)
def set_model():
    """A set of layers in a model."""
    return custom.SetModel(), numbers(2, 4)


@case(NEWEST)
def shared_layer():
    """One layer on two branches."""
    a, b = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(4)
    model = keras.Model([a, b], layers.Dense(4)(layers.Add()([shared(a), shared(b)])))
    return model, [numbers(2, 4), numbers(2, 4, seed=1)]


@case(NEWEST)
def layer_twice():
    """One layer applied twice in a row."""
    inputs = keras.Input((4,))
    twice = layers.Dense(4, activation="tanh")
    return keras.Model(inputs, layers.Dense(4)(twice(twice(inputs)))), numbers(2, 4)


@case(EVERY)
def shared_parts():
    """One layer in two sub-models of a subclassed model."""
    return custom.SharedParts(), numbers(2, 4)


# ---- names ---------------------------------------------------------------------------------------------


@case(TWO)
def names_crossed():
    """User-given names in an order that neither position nor alphabet explains, beside automatic ones."""
    names = ("dense_3", "zeta", None, "alpha", "dense_9", None)
    stack = [layers.Dense(4, name=name) if name else layers.Dense(4) for name in names]
    return keras.Sequential([keras.Input((4,)), *stack]), numbers(2, 4)


@case(NEWEST)
def names_offset():
    """Automatic names that do not start at the first number."""
    for _ in range(5):
        layers.Dense(4)
    return dense_model(), numbers(2, 4)


@case(NEWEST)
def names_unicode():
    """Names outside ASCII, with spaces, dots and colons."""
    names = ("слой_é", "層 0", "a.b:c", "naïve😀")
    return keras.Sequential([keras.Input((4,))] + [layers.Dense(4, name=n) for n in names]), numbers(2, 4)


# ---- layers --------------------------------------------------------------------------------------------


@case(NEWEST)
def rnn():
    """SimpleRNN, LSTM and GRU with both kinds of reset."""
    inputs = keras.Input((5, 3))
    x = layers.SimpleRNN(3, return_sequences=True)(inputs)
    x = layers.LSTM(3, return_sequences=True)(x)
    x = layers.GRU(3, return_sequences=True)(x)
    return keras.Model(inputs, layers.GRU(2, reset_after=False, dropout=0.1)(x)), numbers(2, 5, 3)


@case(EVERY)
def rnn_bidirectional():
    """Bidirectional LSTM."""
    inputs = keras.Input((5, 3))
    return keras.Model(inputs, layers.Bidirectional(layers.LSTM(3))(inputs)), numbers(2, 5, 3)


@case(NEWEST)
def rnn_bidirectional_own():
    """Bidirectional with a backward layer of its own, of another class, and user-given names."""
    inputs = keras.Input((5, 3))
    forward, backward = layers.LSTM(2, name="zz"), layers.GRU(2, go_backwards=True, name="aa")
    x = layers.Bidirectional(forward, backward_layer=backward)(inputs)
    return keras.Model(inputs, x), numbers(2, 5, 3)


@case(NEWEST)
def rnn_stacked():
    """RNN over a list of cells (StackedRNNCells) of mixed classes."""
    inputs = keras.Input((5, 3))
    cells = [layers.LSTMCell(3), layers.GRUCell(4), layers.LSTMCell(2)]
    return keras.Model(inputs, layers.RNN(cells)(inputs)), numbers(2, 5, 3)


@case(NEWEST)
def rnn_convlstm():
    """ConvLSTM2D and TimeDistributed."""
    inputs = keras.Input((3, 4, 4, 2))
    x = layers.ConvLSTM2D(2, 3, return_sequences=True)(inputs)
    return keras.Model(inputs, layers.TimeDistributed(layers.Conv2D(3, 2))(x)), numbers(1, 3, 4, 4, 2)


@case(NEWEST)
def conv1d():
    """Conv1D and its depthwise, separable and transposed kin."""
    inputs = keras.Input((8, 3))
    x = layers.Conv1D(4, 3, padding="same")(inputs)
    x = layers.DepthwiseConv1D(3, depth_multiplier=2)(x)
    x = layers.SeparableConv1D(3, 2)(x)
    return keras.Model(inputs, layers.Conv1DTranspose(2, 3, strides=2)(x)), numbers(1, 8, 3)


@case(NEWEST)
def conv2d():
    """Conv2D and its depthwise, separable and transposed kin, grouped and without bias."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, groups=2, use_bias=False)(inputs)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.SeparableConv2D(3, 2)(x)
    return keras.Model(inputs, layers.Conv2DTranspose(2, 3)(x)), numbers(1, 8, 8, 2)


@case(NEWEST)
def conv3d():
    """Conv3D and Conv3DTranspose."""
    inputs = keras.Input((4, 4, 4, 2))
    x = layers.Conv3D(3, 2, padding="same")(inputs)
    return keras.Model(inputs, layers.Conv3DTranspose(2, 2)(x)), numbers(1, 4, 4, 4, 2)


@case(NEWEST)
def norms():
    """Normalization layers with every optional weight there and absent."""
    inputs = keras.Input((4, 6))
    x = layers.BatchNormalization()(inputs)
    x = layers.BatchNormalization(center=False, scale=False)(x)
    x = layers.LayerNormalization()(x)
    x = layers.LayerNormalization(center=False, axis=[1, 2])(x)
    x = layers.GroupNormalization(3)(x)
    return keras.Model(inputs, layers.UnitNormalization()(x)), numbers(2, 4, 6)


@case(NEWEST)
def spectral():
    """SpectralNormalization: a wrapper with a vector of its own."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.SpectralNormalization(layers.Dense(3))(inputs)), numbers(2, 4)


@case(NEWEST)
def attention():
    """Embedding, MultiHeadAttention, EinsumDense, residuals."""
    tokens = keras.Input((5,), dtype="int32")
    x = layers.Embedding(11, 8)(tokens)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 3)(x, x)])
    x = layers.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d")(x)
    return keras.Model(tokens, layers.LayerNormalization()(x)), integers(11, 2, 5)


@case(NEWEST)
def grouped_attention():
    """GroupedQueryAttention."""
    inputs = keras.Input((5, 8))
    x = layers.GroupQueryAttention(4, 4, 2)(inputs, inputs)
    return keras.Model(inputs, x), numbers(2, 5, 8)


@case(NEWEST)
def seeds():
    """Seed generators: Dropout, noise, a layer of the user's."""
    inputs = keras.Input((4,))
    x = layers.Dropout(0.5, seed=3)(layers.Dense(4)(inputs))
    x = layers.GaussianNoise(0.1)(custom.Noise()(x))
    return keras.Model(inputs, layers.Dense(4)(x)), numbers(2, 4)


@case(NEWEST)
def no_variables():
    """Layers without variables, and a model that has none in some branches."""
    inputs = keras.Input((4, 4))
    x = layers.Rescaling(0.5)(layers.Permute((2, 1))(inputs))
    x = layers.ReLU()(layers.Flatten()(layers.ZeroPadding1D(1)(x)))
    return keras.Model(inputs, layers.Dense(3)(layers.Dropout(0.2)(x))), numbers(2, 4, 4)


@case(NEWEST)
def nothing():
    """A model without any variable."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.ReLU()(inputs)), numbers(2, 4)


@case(NEWEST)
def many_variables():
    """A layer of twelve variables, trainable and not in turns."""
    return keras.Sequential([keras.Input((4,)), custom.ManyVariables()]), numbers(2, 4)


@case(ERAS)
def odd_variables():
    """Scalars, an empty tensor, weights of every dtype, mixed trainability."""
    stack = [custom.Scalars(), custom.EmptyVariable(), custom.OddDtypes(), custom.LateFreeze()]
    return keras.Sequential([keras.Input((4,)), *stack]), numbers(2, 4)


@case(NEWEST)
def frozen():
    """Frozen layers and a partly trainable optimizer."""
    model = keras.Sequential([keras.Input((4,))] + [layers.Dense(4) for _ in range(3)])
    model.layers[0].trainable = False
    model.layers[2].trainable = False
    model.compile(optimizer=keras.optimizers.Adam(), loss="mse")
    return model, numbers(2, 4)


# ---- preprocessing -------------------------------------------------------------------------------------


@case(ERAS)
def normalization():
    """Adapted Normalization, and one given its mean and variance."""
    adapted = layers.Normalization()
    adapted.adapt(numbers(50, 4, seed=2))
    fixed = layers.Normalization(mean=[0.0, 1.0, 2.0, 3.0], variance=[1.0, 2.0, 3.0, 4.0])
    return keras.Sequential([keras.Input((4,)), adapted, fixed, layers.Dense(2)]), numbers(2, 4)


@case(NEWEST)
def augmentation():
    """Random image layers: seed generators and no weights."""
    stack = [
        layers.RandomFlip(seed=1),
        layers.RandomRotation(0.1),
        layers.RandomContrast(0.2),
        layers.Flatten(),
    ]
    return keras.Sequential([keras.Input((4, 4, 3)), *stack, layers.Dense(2)]), numbers(2, 4, 4, 3)


@case(NEWEST, backend="tensorflow")
def discretization():
    """Discretization, adapted and with given boundaries."""
    adapted = layers.Discretization(num_bins=4)
    adapted.adapt(numbers(60, 4, seed=3))
    a = keras.Input((4,))
    b = keras.Input((4,))
    given = layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.5])
    x = layers.Concatenate()([layers.Rescaling(1.0)(adapted(a)), layers.Rescaling(2.0)(given(b))])
    return keras.Model([a, b], layers.Dense(2)(x)), [numbers(2, 4), numbers(2, 4, seed=1)]


WORDS = ["kio", "le chat", "猫", "naïve", "tab\tinside", "Ünï"]


@case(EVERY, backend="tensorflow")
def lookup_adapted():
    """StringLookup and IntegerLookup with adapted vocabularies (assets)."""
    strings, ints = layers.StringLookup(), layers.IntegerLookup(output_mode="multi_hot")
    strings.adapt(np.array(WORDS + WORDS[:3]))
    ints.adapt(np.array([5, 70, 5, -3, 900]))
    a, b = keras.Input((1,), dtype="string"), keras.Input((1,), dtype="int64")
    x = layers.Concatenate()([layers.Flatten()(layers.Embedding(9, 3)(strings(a))), ints(b)])
    inputs = [np.array([["猫"], ["nobody"]]), np.array([[70], [4]])]
    return keras.Model([a, b], layers.Dense(2)(x)), inputs


@case(TWO, backend="tensorflow", files=("directory",))
def lookup_directory():
    """An adapted vocabulary in a directory."""
    strings = layers.StringLookup(output_mode="multi_hot")
    strings.adapt(np.array(WORDS))
    return keras.Sequential([keras.Input((1,), dtype="string"), strings, layers.Dense(2)]), np.array(
        [["猫"], ["kio"]]
    )


@case(NEWEST, backend="tensorflow")
def lookup_given():
    """StringLookup and IntegerLookup with vocabularies given to the constructor (config)."""
    a, b = keras.Input((1,), dtype="string"), keras.Input((1,), dtype="int64")
    strings = layers.StringLookup(vocabulary=WORDS, num_oov_indices=2, mask_token="")
    ints = layers.IntegerLookup(vocabulary=[3, 1, 2], output_mode="one_hot")
    x = layers.Concatenate()([layers.Flatten()(layers.Embedding(9, 3)(strings(a))), ints(b)])
    inputs = [np.array([["kio"], [""]]), np.array([[2], [1]])]
    return keras.Model([a, b], layers.Dense(2)(x)), inputs


@case(ERAS, backend="tensorflow")
def text_vectorization():
    """TextVectorization, adapted, as ids and as tf-idf (whose weights are not numbered)."""
    texts = np.array(["the cat sat", "the dog sat down", "猫 sat"])
    ids = layers.TextVectorization(output_sequence_length=4)
    ids.adapt(texts)
    idf = layers.TextVectorization(output_mode="tf_idf")
    idf.adapt(texts)
    inputs = keras.Input((1,), dtype="string")
    x = layers.Flatten()(layers.Embedding(9, 3)(ids(inputs)))
    x = layers.Concatenate()([x, layers.Flatten()(idf(inputs))])
    return keras.Model(inputs, layers.Dense(2)(x)), np.array([["the 猫 sat"], ["unknown dog"]])


@case(NEWEST, backend="tensorflow")
def hashing():
    """Preprocessing without state: Hashing, CategoryEncoding, Rescaling, Resizing."""
    inputs = keras.Input((3,), dtype="string")
    x = layers.CategoryEncoding(8, output_mode="count")(layers.Hashing(8)(inputs))
    return keras.Model(inputs, layers.Dense(2)(x)), np.array([["a", "b", "c"], ["a", "a", "猫"]])


@case(NEWEST)
def custom_assets():
    """A layer with save_assets and load_assets: a text and a binary file."""
    layer = custom.AssetLayer(["alpha", "βeta", "two words"])
    layer.factor = 15.0
    return keras.Sequential([keras.Input((4,)), layers.Dense(4), layer]), numbers(2, 4)


# ---- layers that store themselves ----------------------------------------------------------------------


@case(ERAS)
def own_store():
    """Overridden save_own_variables and load_own_variables: names, constants, a transpose."""
    stack = [custom.NamedStore(4), layers.Dense(4), custom.ExtraStore()]
    return keras.Sequential([keras.Input((4,)), *stack]), numbers(2, 4)


@case(NEWEST)
def own_store_slash():
    """A key with a slash, which makes a group under ``vars``."""
    return keras.Sequential([keras.Input((4,)), custom.SlashStore(), layers.Dense(2)]), numbers(2, 4)


@case(NEWEST)
def jax_layer():
    """JaxLayer: parameters and state of a JAX function."""
    layer = layers.JaxLayer(custom.jax_call, custom.jax_init)
    return keras.Sequential([keras.Input((4,)), layer, layers.Dense(2)]), numbers(2, 4)


@case(NEWEST, backend="torch", files=("weights",))
def torch_module():
    """TorchModuleWrapper: keys are the names of a state dict."""
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    wrapper = layers.TorchModuleWrapper(module)
    return keras.Sequential([keras.Input((4,)), wrapper, layers.Dense(2)]), numbers(2, 4)


# ---- dtypes --------------------------------------------------------------------------------------------


@case(EVERY)
def mixed_float16():
    """mixed_float16: LossScaleOptimizer is put around Adam by compile()."""
    model = dense_model(dtype="mixed_float16")
    model.compile(optimizer="adam", loss="mse")
    return model, numbers(2, 4)


@case(NEWEST)
def mixed_bfloat16():
    """mixed_bfloat16: float32 variables."""
    return dense_model(dtype="mixed_bfloat16"), numbers(2, 4)


@case(EVERY)
def bfloat16():
    """bfloat16 variables: opaque of two bytes, with an attribute since 3.0.5."""
    return dense_model(dtype="bfloat16"), numbers(2, 4)


@case(NEWEST)
def float16():
    """float16 variables."""
    return dense_model(dtype="float16"), numbers(2, 4)


@case(NEWEST, backend="tensorflow")
def float64():
    """float64 variables (the jax backend has none by default)."""
    return dense_model(dtype="float64"), numbers(2, 4)


@case(TWO, backend="tensorflow")
def float64_optimizer():
    """float64 variables and optimizer state, iteration as int64."""
    model = dense_model(dtype="float64")
    model.compile(optimizer="adam", loss="mse")
    return model, numbers(2, 4)


@case(TWO)
def dtype_policy_map():
    """DTypePolicyMap: a policy a layer, by path."""
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="mixed_bfloat16")
    policies["a"] = keras.dtype_policies.DTypePolicy("float32")
    stack = [layers.Dense(4, dtype=policies, name="a"), layers.Dense(4, dtype=policies, name="b")]
    return keras.Sequential([keras.Input((4,)), *stack]), numbers(2, 4)


# ---- quantized and LoRA --------------------------------------------------------------------------------


def token_model(width=6):
    """Embedding, EinsumDense and Dense: the layers that can be quantized."""
    tokens = keras.Input((3,), dtype="int32")
    x = layers.Embedding(7, width)(tokens)
    x = layers.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d")(x)
    return keras.Model(tokens, layers.Dense(3)(x)), integers(7, 2, 3)


def quantized(mode):
    model, inputs = token_model()
    model.quantize(mode)
    return model, inputs


@case(EVERY)
def int8():
    """int8 Embedding, EinsumDense and Dense."""
    return quantized("int8")


@case(EVERY)
def int4():
    """int4, odd sizes: packed along another axis since 3.14."""
    return quantized("int4")


@case(EVERY)
def int4_block():
    """int4 by blocks of two (3.14 and later), with ``kernel_zero`` and ``g_idx``."""
    model, inputs = token_model()
    model.quantize(config=keras.quantizers.Int4QuantizationConfig(block_size=2))
    return model, inputs


@case(TWO)
def float8():
    """float8 training state: scales and amax histories beside float32 weights."""
    inputs = keras.Input((16,))
    model = keras.Model(inputs, layers.Dense(16)(inputs))
    model.quantize("float8")
    return model, numbers(2, 16)


@case(NEWEST)
def int8_no_bias():
    """int8 without bias: the optional entry is absent and the rest moves up."""
    inputs = keras.Input((4,))
    x = layers.Dense(4, use_bias=False, dtype="int8_from_float32")(inputs)
    return keras.Model(inputs, layers.Dense(4, dtype="int8_from_mixed_bfloat16")(x)), numbers(2, 4)


@case(NEWEST)
def gptq():
    """GPTQ layout: bias first, packed uint8 kernel."""
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(6, dtype="gptq/4/4_from_float32")(inputs))
    model.layers[1].is_gptq_calibrated = True
    return model, numbers(2, 8)


@case(NEWEST)
def awq():
    """AWQ layout."""
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(6, dtype="awq/4/4_from_float32")(inputs))
    model.layers[1].is_awq_calibrated = True
    return model, numbers(2, 8)


def add_lora(model):
    for layer in model.layers[1:]:
        layer.enable_lora(2)
    return model


@case(EVERY)
def lora():
    """LoRA on Embedding, EinsumDense and Dense: the file holds the merged kernel only."""
    model, inputs = token_model()
    return add_lora(model), inputs


@case(TWO)
def lora_int8():
    """LoRA on int8 layers: merged and quantized again."""
    model, inputs = quantized("int8")
    return add_lora(model), inputs


# ---- optimizers ----------------------------------------------------------------------------------------


def optimized(optimizer, **compile_options):
    model = dense_model()
    model.compile(optimizer=optimizer, loss="mse", **compile_options)
    return model, numbers(2, 4)


@case(EVERY)
def adamw_schedule():
    """AdamW with a schedule: there is no learning_rate variable."""
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100, warmup_steps=5, warmup_target=0.2)
    return optimized(keras.optimizers.AdamW(schedule, weight_decay=0.01))


@case(TWO)
def adam_ema():
    """Adam with AMSGrad and an exponential moving average."""
    return optimized(keras.optimizers.Adam(0.01, amsgrad=True, use_ema=True, ema_momentum=0.9))


@case(ERAS)
def adam_accumulation():
    """Adam with gradient accumulation (3.1 and later) and EMA."""
    return optimized(keras.optimizers.Adam(0.01, gradient_accumulation_steps=3, use_ema=True))


@case(TWO)
def loss_scale():
    """LossScaleOptimizer around SGD with momentum, given by the user."""
    inner = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    return optimized(keras.optimizers.LossScaleOptimizer(inner, initial_scale=256.0))


@case(NEWEST)
def sgd():
    """SGD without momentum: iteration and learning rate only."""
    return optimized(keras.optimizers.SGD(0.1))


@case(NEWEST)
def sgd_momentum():
    """SGD with momentum."""
    return optimized(keras.optimizers.SGD(0.1, momentum=0.9))


@case(NEWEST)
def rmsprop():
    """RMSprop, centered and with momentum."""
    return optimized(keras.optimizers.RMSprop(0.1, momentum=0.9, centered=True))


@case(NEWEST)
def nadam():
    """Nadam: a scalar variable beside the slots."""
    return optimized(keras.optimizers.Nadam(0.1))


@case(NEWEST)
def adafactor():
    """Adafactor: row and column factors of other shapes than the variables."""
    return optimized(keras.optimizers.Adafactor(0.1))


@case(NEWEST)
def ftrl():
    """Ftrl: two slots a variable."""
    return optimized(keras.optimizers.Ftrl(0.1))


@case(NEWEST)
def lion():
    """Lion."""
    return optimized(keras.optimizers.Lion(0.1))


@case(NEWEST)
def muon():
    """Muon (3.10 and later): slots of two kinds by variable."""
    return optimized(keras.optimizers.Muon(0.1))


@case(TWO)
def compiled():
    """Losses and metrics as strings and as objects, their state built by one evaluation."""
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="shared")(inputs)
    heads = {
        "a": layers.Dense(1, activation="sigmoid", name="a")(x),
        "b": layers.Dense(3, activation="softmax", name="b")(x),
    }
    model = keras.Model(inputs, heads)
    model.compile(
        optimizer=keras.optimizers.RMSprop(0.01),
        loss={"a": "binary_crossentropy", "b": keras.losses.CategoricalCrossentropy(label_smoothing=0.1)},
        loss_weights={"a": 1.0, "b": 0.5},
        metrics={
            "a": ["accuracy", keras.metrics.AUC(num_thresholds=7)],
            "b": [keras.metrics.MeanAbsoluteError()],
        },
        weighted_metrics={"a": [], "b": ["mse"]},
    )
    x = numbers(4, 4)
    labels = {"a": np.ones((4, 1), "float32"), "b": np.eye(3, dtype="float32")[[0, 1, 2, 0]]}
    model.test_on_batch(x, labels)
    return model, x


# ---- containers ----------------------------------------------------------------------------------------


@case(EVERY, files=("directory", "sharded"))
def containers():
    """The other containers of one model with optimizer: directory and shards."""
    model = dense_model(units=8)
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    return model, numbers(2, 4)


@case(("3.0.0", "3.6.0", "3.15.1"), files=("npz",))
def npz():
    """The npz container: pickled object arrays, unreadable by the Keras that wrote it since 3.9."""
    return dense_model(), numbers(2, 4)


@case(EVERY, files=("sharded",), shard_bytes=2150)
def shards_straddling():
    """Shards so small that one layer lies in two of them."""
    return keras.Sequential([keras.Input((16,))] + [layers.Dense(16) for _ in range(3)]), numbers(2, 16)


@case(TWO, files=("sharded",), shard_bytes=1 << 20)
def shards_one():
    """A sharded file of one shard."""
    return dense_model(), numbers(2, 4)


@case(EVERY, files=("sharded",), shard_bytes=700)
def shards_nested():
    """Shards of a nested model with a shared layer and an optimizer."""
    shared = layers.Dense(8, name="shared")
    inner = keras.Sequential([keras.Input((8,)), shared, layers.Dense(8)])
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(8)(shared(inner(inputs))))
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    return model, numbers(2, 8)
