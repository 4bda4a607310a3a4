"""Models that begin with a preprocessing layer: vocabularies, bins, statistics."""

import numpy as np

from registry import MODERN, VERSION, L, keras, kind

WORDS = ["red", "green", "blue", "violet", "the red", "green blue violet", "ochre"]


def text(adapted, **options):
    layer = L.TextVectorization(output_sequence_length=3, **options)
    if adapted:
        layer.adapt(np.array(WORDS))
    return layer


def after(layer, units=2, dtype="string", shape=()):
    x = keras.Input(shape, dtype=dtype)
    return keras.Model(x, L.Dense(units)(layer(x)))


def embedded(layer, dtype="string", shape=(), size=12):
    x = keras.Input(shape, dtype=dtype)
    y = L.Embedding(size, 3)(layer(x))
    return keras.Model(x, L.Dense(2)(L.Flatten()(y)))


@kind((), strings=WORDS)
def text_given():
    return embedded(text(False, vocabulary=["red", "green", "blue"]))


@kind((), strings=WORDS)
def text_adapted():
    return embedded(text(True))


@kind((), strings=WORDS)
def text_counted():
    layer = L.TextVectorization(output_mode="tf_idf", ngrams=2, standardize="lower")
    layer.adapt(np.array(WORDS))
    return after(layer)


@kind((), strings=WORDS)
def text_several():
    given = {"output_mode": "tf_idf", "vocabulary": ["red", "green"], "idf_weights": [0.5, 0.25]}
    layers = [L.TextVectorization(output_mode="tf_idf"), L.TextVectorization(**given),
              L.TextVectorization(output_mode="count", max_tokens=4)]
    for layer in layers[::2]:
        layer.adapt(np.array(WORDS))
    x = keras.Input((), dtype="string")
    return keras.Model(x, L.Dense(2)(L.Concatenate()([L.Rescaling(1.0)(layer(x)) for layer in layers])))


@kind((), strings=WORDS)
def text_padded():
    layer = L.TextVectorization(output_mode="tf_idf", max_tokens=20, pad_to_max_tokens=True)
    layer.adapt(np.array(WORDS))
    counts = L.TextVectorization(output_mode="multi_hot", name="counts")
    counts.adapt(np.array(WORDS))
    x = keras.Input((), dtype="string")
    inner = [keras.Sequential([keras.Input((), dtype="string"), each, L.Dense(3)]) for each in (layer, counts)]
    return keras.Model(x, L.Dense(2)(L.Concatenate()([each(x) for each in inner])))


@kind((2,), strings=WORDS)
def string_lookup():
    return embedded(L.StringLookup(vocabulary=["red", "green", "blue"], num_oov_indices=2), shape=(2,))


@kind((2,), strings=WORDS)
def string_lookup_adapted():
    layer = L.StringLookup(mask_token="")
    layer.adapt(np.array(WORDS))
    return embedded(layer, shape=(2,))


# What ends a line for some, and no line of a vocabulary.
LINES = ["red", "green", "dark\u2028blue", "violet\x0b", "ochre\x85"]


@kind((2,), strings=LINES)
def string_lookup_several():
    layers = [L.StringLookup(), L.StringLookup(vocabulary=LINES[1:3]), L.StringLookup(num_oov_indices=2)]
    layers[0].adapt(np.array(LINES))
    layers[2].adapt(np.array(LINES[2:]))
    x = keras.Input((2,), dtype="string")
    return keras.Model(x, L.Dense(2)(L.Flatten()(L.Concatenate()([L.Embedding(8, 3)(layer(x)) for layer in layers]))))


@kind((3,), ints=True)
def integer_lookup():
    return after(L.IntegerLookup(vocabulary=[1, 2, 4], output_mode="multi_hot"), dtype="int64", shape=(3,))


@kind((3,), ints=True)
def integer_lookup_adapted():
    layer = L.IntegerLookup()
    layer.adapt(np.array([3, 3, 1, 4]))
    return embedded(layer, dtype="int64", shape=(3,))


@kind((3,), ints=True)
def integer_lookup_several():
    x = keras.Input((3,), dtype="int64")
    layers = [L.IntegerLookup(output_mode=mode) for mode in ("count", "multi_hot")]
    for number, layer in enumerate(layers):
        layer.adapt(np.array([3, 3, 1, 4][number:]))
    return keras.Model(x, L.Dense(2)(L.Concatenate()([L.Rescaling(1.0)(layer(x)) for layer in layers])))


@kind((2,), strings=WORDS)
def hashing():
    return embedded(L.Hashing(5), shape=(2,))


@kind((2,), strings=WORDS)
def hashing_salted():
    return embedded(L.Hashing(5, mask_value="", salt=[133, 137]), shape=(2,))


@kind((4,))
def discretization():
    return embedded(L.Discretization([-0.5, 0.0, 0.3]), dtype="float32", shape=(4,))


@kind((4,))
def discretization_adapted():
    layer = L.Discretization(num_bins=4)
    layer.adapt(np.linspace(-1, 1, 50).astype("float32")[:, None])
    return embedded(layer, dtype="float32", shape=(4,))


@kind((4,))
def discretization_several():
    layers = [L.Discretization(num_bins=4), L.Discretization([-0.5, 0.0, 0.3]), L.Discretization(num_bins=3)]
    for layer in layers[::2]:
        layer.adapt(np.linspace(-1, 1, 50).astype("float32")[:, None])
    x = keras.Input((4,))
    return keras.Model(x, L.Dense(2)(L.Flatten()(L.Concatenate()([L.Embedding(6, 3)(layer(x)) for layer in layers]))))


@kind((3,), ints=True)
def category_encoding():
    return after(L.CategoryEncoding(5, output_mode="multi_hot"), dtype="int64", shape=(3,))


@kind((1,), (1,), ints=True)
def hashed_crossing():
    a, b = keras.Input((1,), dtype="int64"), keras.Input((1,), dtype="int64")
    return keras.Model([a, b], L.Dense(2)(L.HashedCrossing(5, output_mode="one_hot")((a, b))))


@kind((4,))
def normalization_adapted():
    layer = L.Normalization()
    layer.adapt(np.random.RandomState(3).normal(2, 3, (20, 4)).astype("float32"))
    return keras.Sequential([keras.Input((4,)), layer, L.Dense(2)])


@kind((4,), where=MODERN or VERSION >= "2.12")
def normalization_inverted():
    return keras.Sequential([keras.Input((4,)), L.Normalization(mean=2.0, variance=3.0, invert=True), L.Dense(2)])


@kind((9, 9, 3))
def images():
    return keras.Sequential([
        keras.Input((9, 9, 3)), L.Resizing(8, 6), L.CenterCrop(5, 5), L.Rescaling(0.5), L.Conv2D(2, 3), L.Flatten(), L.Dense(2),
    ])


@kind((6, 6, 3), train=False)
def augmented():
    return keras.Sequential([
        keras.Input((6, 6, 3)), L.RandomFlip("horizontal", seed=1), L.RandomRotation(0.1), L.RandomZoom(0.1),
        L.RandomContrast(0.2), L.RandomTranslation(0.1, 0.1), L.Conv2D(2, 3), L.Flatten(), L.Dense(2),
    ])
