"""Models where one layer is not enough: wrappers, cells, states, masks, nesting, old constructors."""

import tensorflow as tf
from make import draw, keras

L = keras.layers
MODELS = {}


def model(build):
    MODELS[build.__name__.strip("_")] = build
    return build


def one(shape, apply, kind="f", **options):
    """A functional model of one input."""

    def make():
        dtype = {"f": "float32", "i": "int32", "s": "string", "b": "bool"}[kind]
        x = keras.Input(shape, dtype=dtype, **options)
        return keras.Model(x, apply(x)), [draw(0, (2, *shape), kind)]

    return make


def many(apply, *shapes):
    def make():
        xs = [keras.Input(shape) for shape in shapes]
        return keras.Model(xs, apply(*xs)), [draw(n, (2, *shape)) for n, shape in enumerate(shapes)]

    return make


CELLS = {
    "LSTMCell": lambda **k: L.LSTMCell(3, **k),
    "GRUCell": lambda **k: L.GRUCell(3, **k),
    "GRUCell before": lambda **k: L.GRUCell(3, reset_after=False, **k),
    "SimpleRNNCell": lambda **k: L.SimpleRNNCell(3, **k),
    "StackedRNNCells": lambda **k: L.StackedRNNCells([L.LSTMCell(2, **k), L.GRUCell(3)]),
    "list of cells": lambda **k: [L.LSTMCell(2, **k), L.SimpleRNNCell(3)],
}
CELL_ARGUMENTS = [
    {}, dict(activation="relu"), dict(use_bias=False), dict(kernel_initializer="ones"), dict(recurrent_initializer="ones"),
    dict(bias_initializer="ones"), dict(kernel_regularizer="l2"), dict(recurrent_regularizer="l2"),
    dict(bias_regularizer="l2"), dict(kernel_constraint="max_norm"), dict(recurrent_constraint="max_norm"),
    dict(bias_constraint="max_norm"), dict(dropout=0.5), dict(recurrent_dropout=0.5),
]  # fmt: skip
RNN_ARGUMENTS = [
    dict(return_sequences=True), dict(return_state=True), dict(go_backwards=True), dict(unroll=True),
    dict(time_major=True), dict(zero_output_for_mask=True), dict(return_sequences=True, go_backwards=True),
]  # fmt: skip
WRAPPED = {
    "Dense": (lambda: L.Dense(3), (4, 5)),
    "Dense relu": (lambda: L.Dense(3, activation="relu", kernel_regularizer="l2"), (4, 5)),
    "Conv2D": (lambda: L.Conv2D(2, 2), (2, 4, 3, 2)),
    "BatchNormalization": (lambda: L.BatchNormalization(), (4, 5)),
    "Dropout": (lambda: L.Dropout(0.5), (4, 5)),
    "Flatten": (lambda: L.Flatten(), (3, 2, 2)),
    "LSTM": (lambda: L.LSTM(3), (3, 4, 2)),
    "Embedding": (lambda: L.Embedding(4, 3), (3, 2)),
    "Bidirectional": (lambda: L.Bidirectional(L.GRU(2)), (3, 4, 2)),
    "Activation": (lambda: L.Activation("hard_sigmoid"), (4, 5)),
    "ThresholdedReLU": (lambda: L.ThresholdedReLU(0.25), (4, 5)),
    "Sequential": (lambda: keras.Sequential([L.Dense(3, input_shape=(5,)), L.LeakyReLU(0.1)]), (4, 5)),
    "Model": (lambda: _inner(), (4, 5)),
}


def _inner():
    x = keras.Input((5,))
    return keras.Model(x, L.Dense(2)(L.Dense(3, activation="relu")(x)))


def recurrent(maker):
    for name, cell in CELLS.items():
        for given in CELL_ARGUMENTS:
            title = ", ".join(f"{k}={v!r}" for k, v in given.items())
            maker.add(
                f"RNN of {name} {title}".strip(), one((4, 2), lambda x, cell=cell, given=given: L.RNN(cell(**given))(x))
            )
        for given in RNN_ARGUMENTS:
            title = ", ".join(f"{k}={v!r}" for k, v in given.items())
            maker.add(
                f"RNN of {name} with {title}", one((4, 2), lambda x, cell=cell, given=given: L.RNN(cell(), **given)(x))
            )
    for merge in ("concat", "sum", "mul", "ave", None):
        for inner in (L.LSTM, L.GRU, L.SimpleRNN):
            for sequences in (False, True):
                maker.add(f"Bidirectional {inner.__name__} {merge} {sequences}", one((4, 2), lambda x, m=merge, c=inner, s=sequences:
                          L.Bidirectional(c(3, return_sequences=s), merge_mode=m)(x)))  # fmt: skip
    two = {
        "return_state": lambda x: L.Bidirectional(L.LSTM(3, return_state=True))(x),
        "backward_layer": lambda x: L.Bidirectional(
            L.LSTM(3), backward_layer=L.LSTM(3, go_backwards=True, activation="relu")
        )(x),
        "go_backwards": lambda x: L.Bidirectional(L.LSTM(3, go_backwards=True))(x),
        "RNN": lambda x: L.Bidirectional(L.RNN(L.LSTMCell(3), return_sequences=True))(x),
        "twice": lambda x: L.Bidirectional(L.LSTM(2))(L.Bidirectional(L.GRU(3, return_sequences=True))(x)),
        "hard_sigmoid": lambda x: L.Bidirectional(L.LSTM(2, recurrent_activation="hard_sigmoid"))(x),
        "states on": lambda x: L.Bidirectional(L.LSTM(3))(
            x, initial_state=L.Bidirectional(L.LSTM(3, return_state=True))(x)[1:]
        ),
        "ConvLSTM2D": lambda x: L.Bidirectional(L.ConvLSTM2D(1, 1))(L.Reshape((4, 2, 1, 1))(x)),
        "masked": lambda x: L.Bidirectional(L.LSTM(3, return_sequences=True))(L.Masking(0.0)(x)),
        "time distributed": lambda x: L.TimeDistributed(L.Dense(2))(
            L.Bidirectional(L.LSTM(2, return_sequences=True))(x)
        ),
    }
    for name, apply in two.items():
        maker.add(f"Bidirectional {name}", one((4, 2), apply))
    for cls, states in ((L.LSTM, 2), (L.GRU, 1), (L.SimpleRNN, 1)):

        def with_states(x, *s, cls=cls):
            return cls(3)(x, initial_state=list(s) if len(s) > 1 else s[0])

        maker.add(f"{cls.__name__} initial_state", many(with_states, (4, 2), *[(3,)] * states))
        maker.add(
            f"{cls.__name__} states in a list",
            many(lambda *all_, cls=cls: cls(3)(list(all_)), (4, 2), *[(3,)] * states),
        )

        def on(x, cls=cls):
            y, *s = cls(3, return_state=True, return_sequences=True)(x)
            return cls(3)(y, initial_state=s)

        maker.add(f"{cls.__name__} encoder and decoder", one((4, 2), on))
        maker.add(f"{cls.__name__} stateful", one((4, 2), lambda x, cls=cls: cls(3, stateful=True)(x), batch_size=2))
    for name, (inner, shape) in WRAPPED.items():
        kind = "i" if name == "Embedding" else "f"
        maker.add(f"TimeDistributed {name}", one(shape, lambda x, inner=inner: L.TimeDistributed(inner())(x), kind))
    maker.add(
        "TimeDistributed TimeDistributed", one((2, 3, 4), lambda x: L.TimeDistributed(L.TimeDistributed(L.Dense(2)))(x))
    )
    # With a batch of a known size, some layers were called step by step.
    for name, (inner, shape) in {
        "stateful": (lambda: L.LSTM(3, stateful=True), (3, 4, 2)),
        "BatchNormalization": WRAPPED["BatchNormalization"],
        "Sequential": (lambda: keras.Sequential([L.Dense(3, input_shape=(5,)), L.BatchNormalization()]), (4, 5)),
    }.items():
        for training in (None, True):
            maker.add(
                f"TimeDistributed {name} of two, training={training}",
                one(shape, lambda x, inner=inner, training=training: L.TimeDistributed(inner())(x, training=training),
                    batch_size=2),
            )  # fmt: skip
    for axis, shape in ((1, (3, 3)), ([1], (3, 3, 3)), ([1, 2], (3, 3, 3)), ([1, 3], (3, 3, 3))):
        maker.add(
            f"LayerNormalization square, axis={axis!r}, rank {len(shape)}",
            one(shape, lambda x, axis=axis: L.LayerNormalization(axis=axis)(x)),
        )
    if hasattr(L, "SpectralNormalization"):
        maker.add("SpectralNormalization", one((4,), lambda x: L.SpectralNormalization(L.Dense(3))(x)))
        maker.add(
            "SpectralNormalization Conv2D",
            one((4, 4, 2), lambda x: L.SpectralNormalization(L.Conv2D(3, 2), power_iterations=2)(x)),
        )


def masked(x):
    return L.Masking(0.0)(x)


MASKS = {
    "LSTM": lambda y: L.LSTM(3)(y),
    "GRU sequences": lambda y: L.GRU(3, return_sequences=True)(y),
    "GRU before": lambda y: L.GRU(3, reset_after=False)(y),
    "SimpleRNN backwards": lambda y: L.SimpleRNN(3, go_backwards=True)(y),
    "RNN zero_output_for_mask": lambda y: L.RNN(L.GRUCell(3), return_sequences=True, zero_output_for_mask=True)(y),
    "GlobalAveragePooling1D": lambda y: L.GlobalAveragePooling1D()(y),
    "Dense LSTM": lambda y: L.LSTM(3)(L.Dense(2)(y)),
    "Concatenate": lambda y: L.LSTM(3)(L.Concatenate()([y, y])),
    "Add": lambda y: L.LSTM(3)(L.Add()([y, y])),
    "TimeDistributed": lambda y: L.LSTM(3)(L.TimeDistributed(L.Dense(2))(y)),
    "Attention": lambda y: L.Attention()([y, y]),
    "AdditiveAttention": lambda y: L.AdditiveAttention()([y, y]),
    "MultiHeadAttention": lambda y: L.MultiHeadAttention(1, 2)(y, y),
    "Softmax": lambda y: L.Softmax(axis=1)(y),
    "Dropout": lambda y: L.GRU(2)(L.Dropout(0.5)(y)),
    "LayerNormalization": lambda y: L.GRU(2)(L.LayerNormalization()(y)),
    "Activation": lambda y: L.GRU(2)(L.Activation("relu")(y)),
    "Bidirectional sum": lambda y: L.Bidirectional(L.GRU(2, return_sequences=True), merge_mode="sum")(y),
    "nested": lambda y: keras.Sequential([L.LSTM(3, input_shape=(4, 2))])(y),
    "nested sequences": lambda y: L.LSTM(3)(
        keras.Sequential([L.GRU(3, return_sequences=True, input_shape=(4, 2)), L.Dense(2)])(y)
    ),
    "operators": lambda y: L.LSTM(3)(y * 2.0),
    "function": lambda y: L.LSTM(3)(tf.nn.relu(y)),
}
CALLS = {
    "training": lambda x: L.Dropout(0.5)(x, training=False),
    "BatchNormalization training": lambda x: L.BatchNormalization()(x, training=False),
    "BatchNormalization trained": lambda x: L.BatchNormalization()(x, training=True),
    "MultiHeadAttention scores": lambda x: L.MultiHeadAttention(2, 3)(x, x, return_attention_scores=True),
    "MultiHeadAttention causal": lambda x: L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
    "MultiHeadAttention key": lambda x: L.MultiHeadAttention(2, 3)(x, x, x * 2.0),
    "MultiHeadAttention key by name": lambda x: L.MultiHeadAttention(2, 3)(query=x, value=x, key=x),
    "MultiHeadAttention mask": lambda x: L.MultiHeadAttention(2, 3)(x, x, attention_mask=tf.ones((2, 4, 4))),
    "Attention scores": lambda x: L.Attention()([x, x], return_attention_scores=True),
    "Attention causal": lambda x: L.Attention()([x, x], use_causal_mask=True),
    "Attention three": lambda x: L.Attention()([x, x, L.Dense(2)(x)]),
    "LSTM mask": lambda x: L.LSTM(3)(x, mask=tf.constant([[True, True, False, False], [True, False, True, True]])),
}


@model
def nested_twice():
    inner = keras.Sequential([L.Dense(3, input_shape=(4,)), L.ReLU()])
    x = keras.Input((4,))
    middle = keras.Model(x, L.Dense(4)(inner(x)))
    x = keras.Input((4,))
    return keras.Model(x, L.Add()([middle(x), middle(middle(x))])), [draw(0, (2, 4))]


@model
def nested_several_outputs():
    x = keras.Input((4,))
    inner = keras.Model(x, [L.Dense(2)(x), L.Dense(3)(x)])
    x = keras.Input((4,))
    a, b = inner(x)
    return keras.Model(x, [b, L.Concatenate()([a, b])]), [draw(0, (2, 4))]


@model
def nested_several_inputs():
    a, b = keras.Input((4,)), keras.Input((3,))
    inner = keras.Model([a, b], L.Concatenate()([L.Dense(2)(a), b]))
    a, b = keras.Input((4,)), keras.Input((3,))
    return keras.Model([a, b], L.Dense(2)(inner([a, b]))), [draw(0, (2, 4)), draw(1, (2, 3))]


@model
def nested_by_name():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    inner = keras.Model({"a": a, "b": b}, {"u": L.Dense(2)(a), "v": L.Dense(3)(b)})
    a, b = keras.Input((4,)), keras.Input((3,))
    made = inner({"a": a, "b": b})
    return keras.Model([a, b], [made["v"], made["u"]]), [draw(0, (2, 4)), draw(1, (2, 3))]


@model
def shared_model_in_two_places():
    inner = keras.Sequential([L.Dense(3, input_shape=(4,))])
    a, b = keras.Input((4,)), keras.Input((4,))
    return keras.Model([a, b], L.Subtract()([inner(a), inner(b)])), [draw(0, (2, 4)), draw(1, (2, 4))]


@model
def sequential_in_sequential():
    return keras.Sequential([
        keras.Sequential([L.Dense(3, input_shape=(4,)), L.ReLU()]), keras.Sequential([L.Dense(2)]), L.Softmax(),
    ]), [draw(0, (2, 4))]  # fmt: skip


@model
def model_in_sequential():
    x = keras.Input((4,))
    return keras.Sequential([keras.Model(x, L.Dense(3)(x)), L.Dense(2)]), [draw(0, (2, 4))]


@model
def used_before_it_is_nested():
    """A model that was called before: its calls here have other numbers."""
    inner = keras.Sequential([L.Dense(3, input_shape=(4,))])
    inner(keras.Input((4,)))
    inner(keras.Input((4,)))
    x = keras.Input((4,))
    return keras.Model(x, inner(x)), [draw(0, (2, 4))]


@model
def layer_used_in_another_model():
    layer = L.Dense(3)
    x = keras.Input((4,))
    keras.Model(x, layer(x))
    y = keras.Input((4,))
    return keras.Model(y, L.ReLU()(layer(y))), [draw(0, (2, 4))]


@model
def output_is_input():
    x = keras.Input((4,))
    return keras.Model(x, [x, L.Dense(2)(x)]), [draw(0, (2, 4))]


@model
def output_in_the_middle():
    x = keras.Input((4,))
    y = L.Dense(3)(x)
    return keras.Model(x, [L.Dense(2)(y), y]), [draw(0, (2, 4))]


@model
def inputs_by_name():
    a, b = keras.Input((4,), name="b"), keras.Input((3,), name="a")
    return keras.Model({"a": a, "b": b}, {"z": L.Dense(2)(a), "y": L.Dense(2)(b)}), [
        {"a": draw(0, (2, 4)), "b": draw(1, (2, 3))}
    ]


@model
def one_input_in_a_list():
    x = keras.Input((4,))
    return keras.Model([x], [L.Dense(2)(x)]), [draw(0, (2, 4))]


@model
def input_of_another_dtype():
    x = keras.Input((4,), dtype="int32")
    return keras.Model(x, L.Dense(2)(L.Embedding(5, 3)(x))), [draw(0, (2, 4), "i")]


@model
def batch_size_and_name():
    x = keras.Input((4,), batch_size=2, name="my input")
    return keras.Model(x, L.Dense(2, name="my/dense")(x), name="my model"), [draw(0, (2, 4))]


@model
def input_layer_in_sequential():
    return keras.Sequential([L.InputLayer((4,)), L.Dense(2)]), [draw(0, (2, 4))]


@model
def input_layer_of_a_batch():
    return keras.Sequential([L.InputLayer(batch_input_shape=(2, 4), dtype="float32", name="i"), L.Dense(2)]), [
        draw(0, (2, 4))
    ]


@model
def input_dim():
    return keras.Sequential([L.Dense(3, input_dim=4), L.Dense(2)]), [draw(0, (2, 4))]


@model
def batch_input_shape():
    return keras.Sequential([L.LSTM(3, batch_input_shape=(2, 4, 2), stateful=True), L.Dense(2)]), [draw(0, (2, 4, 2))]


@model
def embedding_first():
    return keras.Sequential([L.Embedding(4, 3, input_length=5), L.Flatten(), L.Dense(2)]), [draw(0, (2, 5), "i")]


@model
def built_later():
    model = keras.Sequential([L.Dense(3), L.Dense(2)])
    model.build((None, 4))
    return model, [draw(0, (2, 4))]


@model
def dropout_first():
    return keras.Sequential([L.Dropout(0.5, input_shape=(4,)), L.BatchNormalization(), L.Dense(2)]), [draw(0, (2, 4))]


@model
def rescaling_first():
    return keras.Sequential([L.Rescaling(0.5, input_shape=(3, 3, 1)), L.Flatten(), L.Dense(2)]), [draw(0, (2, 3, 3, 1))]


@model
def wrapper_first():
    return keras.Sequential([L.TimeDistributed(L.Dense(3), input_shape=(4, 2)), L.Bidirectional(L.LSTM(2))]), [
        draw(0, (2, 4, 2))
    ]


@model
def unknown_sizes():
    x = keras.Input((None, None, 2))
    return keras.Model(x, L.GlobalMaxPooling2D()(L.Conv2D(2, 2)(x))), [draw(0, (2, 4, 5, 2))]


@model
def frozen_inside():
    inner = keras.Sequential([L.Dense(4, input_shape=(4,)), L.BatchNormalization(), L.Dense(4)])
    inner.layers[0].trainable = False
    x = keras.Input((4,))
    return keras.Model(x, L.Dense(2)(inner(x))), [draw(0, (2, 4))]


@model
def mixed_policy():
    return keras.Sequential([
        L.Dense(3, dtype="mixed_float16", input_shape=(4,)), L.Dense(2, dtype=keras.mixed_precision.Policy("mixed_bfloat16")),
        L.Activation("linear", dtype="float32"),
    ]), [draw(0, (2, 4))]  # fmt: skip


@model
def shared_with_different_calls():
    x, y = keras.Input((4,)), keras.Input((4,))
    norm = L.BatchNormalization()
    return keras.Model([x, y], [norm(x, training=False), norm(y)]), [draw(0, (2, 4)), draw(1, (2, 4))]


@model
def merging_functions():
    x, y = keras.Input((4,)), keras.Input((4,))
    made = [L.add([x, y]), L.subtract([x, y]), L.multiply([x, y]), L.average([x, y]), L.maximum([x, y]), L.minimum([x, y]),
            L.concatenate([x, y]), L.dot([x, y], axes=1), L.dot([x, y], axes=1, normalize=True)]  # fmt: skip
    return keras.Model([x, y], made), [draw(0, (2, 4)), draw(1, (2, 4))]


@model
def constant_added():
    x = keras.Input((4,))
    return keras.Model(x, L.Add()([x, tf.constant([[1.0, 2.0, 3.0, 4.0]])])), [draw(0, (2, 4))]


@model
def weight_used_as_tensor():
    x = keras.Input((4,))
    return keras.Model(x, L.Multiply()([x, tf.ones((1, 4)) * 0.5])), [draw(0, (2, 4))]


@model
def model_with_unused_branch():
    x = keras.Input((4,))
    y = L.Dense(3)(x)
    L.Dense(2)(y)
    return keras.Model(x, L.ReLU()(y)), [draw(0, (2, 4))]


@model
def mobilenet_block():
    x = y = keras.Input((8, 8, 3))
    y = L.ZeroPadding2D(((0, 1), (0, 1)))(y)
    y = L.DepthwiseConv2D(3, strides=2, padding="valid", use_bias=False)(y)
    y = L.BatchNormalization(epsilon=1e-3, momentum=0.999)(y)
    y = L.ReLU(6.0)(y)
    y = L.GlobalAveragePooling2D(keepdims=True)(y)
    return keras.Model(x, L.Conv2D(2, 1, activation="softmax")(y)), [draw(0, (2, 8, 8, 3))]


@model
def squeeze_and_excite():
    x = keras.Input((4, 4, 3))
    y = L.GlobalAveragePooling2D()(x)
    y = L.Reshape((1, 1, 3))(y)
    y = L.Conv2D(2, 1, activation="swish")(y)
    y = L.Conv2D(3, 1, activation="hard_sigmoid")(y)
    return keras.Model(x, L.multiply([x, y])), [draw(0, (2, 4, 4, 3))]


def make(maker):
    recurrent(maker)
    for name, apply in MASKS.items():

        def build(apply=apply):
            x = keras.Input((4, 2))
            data = draw(0, (2, 4, 2))
            data[0, 3:], data[1, 1:2] = 0, 0
            return keras.Model(x, apply(L.Masking(0.0)(x))), [data]

        maker.add(f"mask {name}", build)
    maker.add("mask of an Embedding", one((5,), lambda x: L.LSTM(3)(L.Embedding(4, 3, mask_zero=True)(x)), "i"))
    for name, apply in CALLS.items():
        maker.add(f"call {name}", one((4, 2), apply))
    for name, build in MODELS.items():
        maker.add(name.replace("_", " "), build)
