"""Kinds of models of Keras 0.3 on Theano: layers in a row, and graphs of named nodes."""

from keras.layers import advanced_activations as A
from keras.layers import containers
from keras.layers import convolutional as C
from keras.layers import core, embeddings, normalization, noise, recurrent, wrappers
from keras.models import Graph, Sequential
from keras.regularizers import l2


def row(*layers):
    def build():
        model = Sequential()
        for make in layers:
            model.add(make())
        return compiled(model)

    return build


def compiled(model):
    if isinstance(model, Graph):
        model.compile("sgd", {name: "mse" for name in model.output_order})
    else:
        model.compile("sgd", "mse")
    return model


def one(cls, *args, **kwargs):
    return row(lambda: cls(*args, **kwargs))


def graph(**inputs):
    model = Graph()
    for name, shape in sorted(inputs.items()):
        model.add_input(name=name, input_shape=shape)
    return model


def graph_row():
    model = graph(a=(5,))
    model.add_node(core.Dense(4, activation="relu"), name="first", input="a")
    model.add_node(core.Dense(3), name="second", input="first")
    model.add_output(name="out", input="second")
    return compiled(model)


def graph_branches():
    """Nodes of equal shapes, added in another order than that of their depth."""
    model = graph(a=(5,), b=(5,))
    model.add_node(core.Dense(5), name="n0", input="b", create_output=True)
    model.add_node(core.Dense(5), name="n1", input="a")
    model.add_node(core.Dense(5, activation="tanh"), name="n2", input="n1")
    model.add_node(core.Dense(5), name="n3", input="b")
    model.add_node(core.Dense(5), name="n4", inputs=["n2", "n3"], merge_mode="sum")
    model.add_node(core.Dense(5), name="n5", input="a", create_output=True)
    model.add_output(name="out", inputs=["n4", "n3"], merge_mode="concat")
    model.add_output(name="again", input="n4")
    return compiled(model)


def graph_shared():
    model = graph(a=(5,), b=(5,))
    model.add_shared_node(core.Dense(4, activation="tanh"), name="both", inputs=["a", "b"], merge_mode="concat")
    model.add_node(core.Dense(2), name="last", input="both")
    model.add_output(name="out", input="last")
    return compiled(model)


def graph_heads():
    model = graph(a=(5,), b=(5,))
    model.add_shared_node(core.Dense(4), name="both", inputs=["a", "b"], outputs=["of_a", "of_b"])
    model.add_node(core.Dense(2), name="last", inputs=["of_a", "of_b"], merge_mode="mul")
    model.add_output(name="out", input="last")
    return compiled(model)


def graph_convolutions():
    model = graph(image=(2, 6, 7))
    model.add_node(C.Convolution2D(3, 2, 3, activation="relu"), name="conv", input="image")
    model.add_node(normalization.BatchNormalization(axis=1), name="norm", input="conv")
    model.add_node(containers.Sequential([core.Flatten(input_shape=(3, 5, 5)), core.Dense(4)]), name="inner", input="norm")
    model.add_output(name="out", input="inner")
    return compiled(model)


def merged(mode, **kwargs):
    def build():
        sides = [Sequential([core.Dense(4, input_dim=5)]), Sequential([core.Dense(4, input_dim=5), core.Activation("tanh")])]
        model = Sequential([core.Merge(sides, mode=mode, **kwargs)])
        model.add(core.Dense(2))
        return compiled(model)

    return build


def autoencoder():
    encoder = containers.Sequential([core.Dense(4, input_dim=5, activation="tanh"), core.Dense(3)])
    decoder = containers.Sequential([core.Dense(4, input_dim=3), core.Dense(5)])
    return compiled(Sequential([core.AutoEncoder(encoder, decoder)]))


SIGNAL, IMAGE = (8, 3), (2, 6, 7)
KINDS = {
    "dense": row(
        lambda: core.Dense(4, input_dim=5, activation="relu", W_regularizer=l2(0.01)), lambda: core.Dropout(0.5),
        lambda: core.Activation("sigmoid"), lambda: core.Dense(3, activation="softmax", init="uniform"),
    ),
    "sigmoid": one(core.Dense, 4, input_dim=5, activation="hard_sigmoid"),
    "highway": one(core.Highway, input_dim=5),
    "maxout": one(core.MaxoutDense, 3, nb_feature=2, input_dim=5),
    "distributed_dense": one(core.TimeDistributedDense, 4, input_shape=SIGNAL),
    "conv1d": one(C.Convolution1D, 4, 3, input_shape=SIGNAL),
    "conv1d_by_size": one(C.Convolution1D, 4, 3, input_dim=3, input_length=8, border_mode="same"),
    "conv2d_th": one(C.Convolution2D, 4, 2, 3, input_shape=IMAGE),
    "conv2d_tf": one(C.Convolution2D, 4, 2, 3, dim_ordering="tf", input_shape=(6, 7, 2)),
    "conv2d_square": one(C.Convolution2D, 3, 3, 3, subsample=(2, 2), input_shape=(3, 9, 9)),
    "around": row(
        lambda: C.ZeroPadding2D((1, 2), input_shape=IMAGE), lambda: C.UpSampling2D((2, 1)),
        lambda: C.Convolution2D(3, 3, 3, border_mode="same"), lambda: core.Permute((2, 3, 1)), lambda: core.Flatten(),
        lambda: core.Reshape((6, -1)), lambda: core.TimeDistributedDense(2),
    ),
    "lengths": row(
        lambda: C.ZeroPadding1D(2, input_shape=SIGNAL), lambda: C.UpSampling1D(2), lambda: core.TimeDistributedMerge("ave"),
        lambda: core.RepeatVector(3),
    ),
    "merge_time_sum": one(core.TimeDistributedMerge, "sum", input_shape=SIGNAL),
    "merge_time_mul": one(core.TimeDistributedMerge, "mul", input_shape=SIGNAL),
    "lstm": one(recurrent.LSTM, 4, return_sequences=True, input_shape=SIGNAL),
    "lstm_by_size": one(recurrent.LSTM, 4, input_dim=3, input_length=8),
    "gru": one(recurrent.GRU, 4, input_shape=SIGNAL),
    "rnn": one(recurrent.SimpleRNN, 4, go_backwards=True, input_shape=SIGNAL),
    "embedding": row(lambda: embeddings.Embedding(6, 4, input_length=5), lambda: recurrent.LSTM(3)),
    "embedding_masked": row(lambda: embeddings.Embedding(6, 4, mask_zero=True, input_length=5), lambda: recurrent.GRU(3)),
    "norm": row(lambda: C.Convolution2D(3, 2, 3, input_shape=IMAGE), lambda: normalization.BatchNormalization(axis=1)),
    "noise": row(lambda: noise.GaussianNoise(0.5, input_shape=(5,)), lambda: noise.GaussianDropout(0.5), lambda: core.Dense(2)),
    "masking": row(lambda: core.Masking(0.0, input_shape=SIGNAL), lambda: recurrent.SimpleRNN(3)),
    "activations": row(
        lambda: A.LeakyReLU(0.2, input_shape=(5,)), lambda: A.PReLU(), lambda: A.ELU(0.7), lambda: A.ParametricSoftplus(),
        lambda: A.ThresholdedReLU(0.1), lambda: A.SReLU(),
    ),
    "threshold": one(A.ThresholdedLinear, 0.3, input_shape=(5,)),
    "distributed": row(lambda: wrappers.TimeDistributed(core.Dense(4), input_shape=SIGNAL)),
    "nested": row(lambda: containers.Sequential([core.Dense(4, input_dim=5), core.Activation("tanh")]), lambda: core.Dense(2)),
    "merge_sum": merged("sum"),
    "merge_concat": merged("concat", concat_axis=-1),
    "merge_mul": merged("mul"),
    "merge_ave": merged("ave"),
    "autoencoder": autoencoder,
    "graph_row": graph_row,
    "graph_branches": graph_branches,
    "graph_shared": graph_shared,
    "graph_heads": graph_heads,
    "graph_convolutions": graph_convolutions,
}
