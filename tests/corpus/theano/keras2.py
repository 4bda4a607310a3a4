"""Kinds of models of Keras 2 on Theano."""

from keras import layers as L
from keras.models import Model, Sequential


def sequence(*layers):
    return lambda: Sequential([make() for make in layers])


def one(cls, *args, **kwargs):
    return sequence(lambda: getattr(L, cls)(*args, **kwargs))


def shared():
    """A model in a model, called twice."""
    inner = Sequential([L.Conv2D(3, (2, 3), input_shape=(5, 6, 2)), L.BatchNormalization()])
    a, b = L.Input((5, 6, 2)), L.Input((5, 6, 2))
    return Model([a, b], L.add([inner(a), inner(b)]))


IMAGE, SIGNAL = (6, 7, 2), (8, 3)
KINDS = {
    "conv1d": one("Conv1D", 4, 3, input_shape=SIGNAL),
    "conv1d_same": one("Conv1D", 4, 3, padding="same", input_shape=SIGNAL),
    "conv2d_last": one("Conv2D", 4, (2, 3), input_shape=IMAGE),
    "conv2d_first": one("Conv2D", 4, (2, 3), data_format="channels_first", input_shape=(2, 6, 7)),
    "conv2d_square": one("Conv2D", 3, 3, data_format="channels_first", input_shape=(3, 6, 7)),
    "conv3d": one("Conv3D", 3, (2, 3, 2), input_shape=(4, 5, 4, 2)),
    "conv2d_transpose": one("Conv2DTranspose", 4, (3, 2), strides=(2, 1), input_shape=IMAGE),
    "conv3d_transpose": one("Conv3DTranspose", 3, (2, 3, 2), input_shape=(3, 4, 3, 2)),
    "separable1d": one("SeparableConv1D", 4, 3, input_shape=SIGNAL),
    "separable2d": one("SeparableConv2D", 4, (2, 3), depth_multiplier=2, input_shape=IMAGE),
    "depthwise2d": one("DepthwiseConv2D", (2, 3), input_shape=IMAGE),
    "local1d": one("LocallyConnected1D", 3, 2, input_shape=SIGNAL),
    "local2d": one("LocallyConnected2D", 3, (2, 3), input_shape=IMAGE),
    "convlstm": one("ConvLSTM2D", 3, 3, return_sequences=True, input_shape=(3, 5, 6, 2)),
    "lstm": one("LSTM", 4, return_sequences=True, input_shape=SIGNAL),
    "gru": one("GRU", 4, input_shape=SIGNAL),
    "gru_after": one("GRU", 4, reset_after=True, input_shape=SIGNAL),
    "bidirectional": sequence(lambda: L.Bidirectional(L.LSTM(4), input_shape=SIGNAL)),
    "distributed": sequence(lambda: L.TimeDistributed(L.Conv2D(3, (2, 3)), input_shape=(3, 5, 6, 2))),
    "norm": sequence(
        lambda: L.Conv2D(3, 3, input_shape=IMAGE), lambda: L.BatchNormalization(), lambda: L.Activation("relu"),
        lambda: L.Flatten(), lambda: L.Dense(2, activation="softmax"),
    ),
    "shared": shared,
}
