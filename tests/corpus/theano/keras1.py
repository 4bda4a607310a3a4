"""Kinds of models of Keras 1 on Theano."""

from keras import layers as L
from keras.models import Model, Sequential


def sequence(*layers):
    return lambda: Sequential([make() for make in layers])


def one(cls, *args, **kwargs):
    return sequence(lambda: getattr(L, cls)(*args, **kwargs))


def shared():
    """A model in a model, called twice."""
    conv = L.Convolution2D(3, 2, 3, dim_ordering="th", input_shape=(2, 5, 6))
    inner = Sequential([conv, L.BatchNormalization(axis=1)])
    a, b = L.Input((2, 5, 6)), L.Input((2, 5, 6))
    return Model([a, b], L.merge([inner(a), inner(b)], mode="sum"))


def merged(mode, **kwargs):
    def build():
        a, b = L.Input((5,)), L.Input((5,))
        return Model([a, b], L.merge([L.Dense(3)(a), L.Dense(3)(b)], mode=mode, **kwargs))

    return build


TH, TF, SIGNAL = {"dim_ordering": "th", "input_shape": (2, 6, 7)}, {"dim_ordering": "tf", "input_shape": (6, 7, 2)}, (8, 3)
KINDS = {
    "conv1d": one("Convolution1D", 4, 3, input_shape=SIGNAL),
    "atrous1d": one("AtrousConvolution1D", 4, 3, atrous_rate=2, input_shape=SIGNAL),
    "conv2d_th": one("Convolution2D", 4, 2, 3, **TH),
    "conv2d_tf": one("Convolution2D", 4, 2, 3, **TF),
    "conv2d_square": one("Convolution2D", 3, 3, 3, dim_ordering="th", input_shape=(3, 6, 7)),
    "conv2d_same": one("Convolution2D", 4, 3, 3, border_mode="same", **TH),
    "atrous2d": one("AtrousConvolution2D", 4, 2, 3, atrous_rate=(2, 2), **TH),
    "deconv_th": one("Deconvolution2D", 4, 2, 3, output_shape=(None, 4, 7, 9), **TH),
    "deconv_tf": one("Deconvolution2D", 4, 2, 3, output_shape=(None, 7, 9, 4), **TF),
    "conv3d_th": one("Convolution3D", 3, 2, 3, 2, dim_ordering="th", input_shape=(2, 4, 5, 4)),
    "conv3d_tf": one("Convolution3D", 3, 2, 3, 2, dim_ordering="tf", input_shape=(4, 5, 4, 2)),
    "local1d": one("LocallyConnected1D", 3, 2, input_shape=SIGNAL),
    "local2d": one("LocallyConnected2D", 3, 2, 3, **TH),
    "convlstm": one("ConvLSTM2D", 3, 3, 3, dim_ordering="th", border_mode="same", return_sequences=True,
                    input_shape=(3, 2, 5, 6)),
    "lstm": one("LSTM", 4, return_sequences=True, input_shape=SIGNAL),
    "lstm_fast": one("LSTM", 4, consume_less="gpu", input_shape=SIGNAL),
    "gru": one("GRU", 4, input_shape=SIGNAL),
    "rnn": one("SimpleRNN", 4, input_shape=SIGNAL),
    "bidirectional": sequence(lambda: L.Bidirectional(L.LSTM(4), input_shape=SIGNAL)),
    "distributed": sequence(lambda: L.TimeDistributed(L.Convolution2D(3, 2, 3, dim_ordering="th"),
                                                      input_shape=(3, 2, 5, 6))),
    "norm": sequence(
        lambda: L.Convolution2D(3, 3, 3, **TH), lambda: L.BatchNormalization(axis=1), lambda: L.Activation("relu"),
        lambda: L.Flatten(),
        lambda: L.Dense(2, activation="softmax"),
    ),
    "highway": one("Highway", input_dim=5),
    "maxout": one("MaxoutDense", 3, nb_feature=2, input_dim=5),
    "strided": one("Convolution2D", 4, 2, 3, subsample=(2, 2), **TH),
    "prelu": one("PReLU", input_shape=(3, 4, 2)),
    "shared": shared,
    "merge_sum": merged("sum"),
    "merge_concat": merged("concat", concat_axis=1),
    "merge_mul": merged("mul"),
    "merge_ave": merged("ave"),
    "merge_max": merged("max"),
    "merge_dot": merged("dot", dot_axes=1),
    "merge_cos": merged("cos", dot_axes=1),
}
