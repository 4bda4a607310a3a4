"""The models that real files of weights belong to, as their repositories describe them.

One builder a model, for tf_keras and for Keras 3 alike: each takes the package, and what
``hard_sigmoid`` was in Keras 1 and 2.  Layers are named where the file's order alone would
not do.  ``draw`` makes the inputs that ``expected.json`` has outputs of.  Never imports kio.
"""

import numpy as np


def credit_card(k, hard_sigmoid):
    widths = (16, 18, 20, 24)
    hidden = [k.layers.Dense(n, activation="relu") for n in widths]
    hidden.insert(2, k.layers.Dropout(0.25))
    return k.Sequential([k.Input((30,)), *hidden, k.layers.Dense(1, activation="sigmoid")])


def digits(k, hard_sigmoid):
    """Its second convolution takes the rows of the first one's output for channels: it was trained like that."""
    return k.Sequential([
        k.Input((1, 28, 28)),
        k.layers.Conv2D(32, 3, activation="relu", data_format="channels_first"),
        k.layers.Conv2D(32, 3, activation="relu", data_format="channels_last"),
        k.layers.MaxPooling2D(2, data_format="channels_last"),
        k.layers.Dropout(0.25),
        k.layers.Flatten(data_format="channels_last"),
        k.layers.Dense(128, activation="relu"),
        k.layers.Dropout(0.5),
        k.layers.Dense(10, activation="softmax"),
    ])


def driving(k, hard_sigmoid):
    def conv(filters, size):
        return k.layers.Conv2D(filters, size, activation="relu")

    return k.Sequential([
        k.Input((70, 224, 3)),
        k.layers.Rescaling(1 / 255, -0.5),
        conv(24, 5), k.layers.MaxPooling2D(2), conv(36, 5), k.layers.MaxPooling2D(2),
        conv(48, 5), conv(64, 5), conv(64, 3), conv(64, 3),
        k.layers.Flatten(),
        *(k.layers.Dense(n, activation="relu") for n in (100, 50, 10)),
        k.layers.Dense(1),
    ])


def speech(k, hard_sigmoid):
    def gru(units, **kwargs):
        return k.layers.GRU(units, recurrent_activation=hard_sigmoid, reset_after=False, **kwargs)

    return k.Sequential([
        k.Input((50, 130)),
        gru(130, return_sequences=True), k.layers.Dropout(0.3), gru(30),
        k.layers.Dense(8, activation="softmax"),
    ])


def cnn_demo(k, hard_sigmoid):
    return k.Sequential([
        k.Input((28, 28, 1)),
        k.layers.Conv2D(32, 3, activation="relu"), k.layers.MaxPooling2D(2), k.layers.Flatten(),
        k.layers.Dense(128, activation="relu"), k.layers.Dense(10, activation="softmax"),
    ])


def cnn_tf(k, hard_sigmoid):
    return k.Sequential([
        k.Input((8, 8, 3)),
        k.layers.Conv2D(2, (3, 2), activation="sigmoid"), k.layers.Conv2D(1, (2, 3), activation="relu"),
        k.layers.MaxPooling2D(5), k.layers.Flatten(),
        k.layers.Dense(2, activation="relu"), k.layers.Dense(3, activation="softmax"),
    ])


def simple_lstm(k, hard_sigmoid):
    lstm = k.layers.LSTM(50, recurrent_activation=hard_sigmoid)
    return k.Sequential([k.Input((1, 1)), lstm, k.layers.Dense(1)])


def two_lstms(k, hard_sigmoid):
    first = k.layers.LSTM(96, recurrent_activation=hard_sigmoid, return_sequences=True)
    second = k.layers.LSTM(96, recurrent_activation=hard_sigmoid)
    return k.Sequential([k.Input((4, 12)), first, second, k.layers.Dense(1, activation="sigmoid")])


def cartpole(k, hard_sigmoid):
    hidden = [k.layers.Dense(24, activation="relu") for _ in range(2)]
    return k.Sequential([k.Input((4,)), *hidden, k.layers.Dense(2)])


def text(k, hard_sigmoid):
    """Written by CuDNN's layers.  Its attention is a Dense of one unit, a softmax over time and a weighted sum."""
    x = k.Input((40,), name="input")
    words = k.layers.Embedding(465, 100, name="embedding")(x)
    first = k.layers.LSTM(128, return_sequences=True, name="rnn_1")(words)
    second = k.layers.LSTM(128, return_sequences=True, name="rnn_2")(first)
    each = k.layers.Concatenate(name="rnn_concat")([words, first, second])
    weights = k.layers.Softmax(axis=1)(k.layers.Dense(1, use_bias=False, name="attention")(each))
    mean = k.layers.Reshape((356,))(k.layers.Dot(axes=1)([weights, each]))
    return k.Model(x, k.layers.Dense(465, activation="softmax", name="output")(mean))


def faces_12(k, hard_sigmoid):
    def conv(x, filters, number):
        x = k.layers.Conv2D(filters, 3, name="conv%d" % number)(x)
        return k.layers.PReLU(shared_axes=[1, 2], name="PReLU%d" % number)(x)

    image = k.Input((None, None, 3))
    x = k.layers.MaxPooling2D(2)(conv(image, 10, 1))
    x = conv(conv(x, 16, 2), 32, 3)
    found = k.layers.Conv2D(2, 1, activation="softmax", name="conv4-1")(x)
    return k.Model(image, [found, k.layers.Conv2D(4, 1, name="conv4-2")(x)])


def faces_24(k, hard_sigmoid):
    def conv(x, filters, size, number):
        x = k.layers.Conv2D(filters, size, name="conv%d" % number)(x)
        return k.layers.PReLU(shared_axes=[1, 2], name="prelu%d" % number)(x)

    image = k.Input((24, 24, 3))
    x = k.layers.MaxPooling2D(3, strides=2, padding="same")(conv(image, 28, 3, 1))
    x = k.layers.MaxPooling2D(3, strides=2)(conv(x, 48, 3, 2))
    x = k.layers.Flatten()(k.layers.Permute((3, 2, 1))(conv(x, 64, 2, 3)))
    x = k.layers.PReLU(name="prelu4")(k.layers.Dense(128, name="conv4")(x))
    found = k.layers.Dense(2, activation="softmax", name="conv5-1")(x)
    return k.Model(image, [found, k.layers.Dense(4, name="conv5-2")(x)])


POOLS = ((2, 4), (3, 4), (2, 5), (2, 4), (4, 4))


def music(depth, tags):
    """Keras 3 only: the first layer is one of the repository's own (kapre), a spectrogram by convolution."""

    def build(k, hard_sigmoid):
        class Melgram(k.layers.Layer):
            def build(self, shape):
                waves = (512, 1, 1, 257)
                self.real = self.add_weight(shape=waves, trainable=False, name="real")
                self.imaginary = self.add_weight(shape=waves, trainable=False, name="imaginary")
                self.bands = self.add_weight(shape=(257, 96), trainable=False, name="bands")

            def compute_output_shape(self, shape):
                return (shape[0], 1, 96, -(-shape[2] // 256))

            def call(self, x):
                ops = k.ops
                x = ops.expand_dims(ops.transpose(x, (0, 2, 1)), -1)
                parts = [
                    ops.conv(x, kernel, strides=(256, 1), padding="same", data_format="channels_last")
                    for kernel in (self.real, self.imaginary)
                ]
                power = ops.transpose(parts[0] ** 2 + parts[1] ** 2, (0, 2, 1, 3))
                bands = ops.transpose(ops.matmul(power, self.bands), (0, 1, 3, 2))
                level = 10 * ops.log(ops.maximum(bands, 1e-10)) / float(np.log(10))
                return ops.maximum(level - ops.max(level), -80.0)

        class OfTheBatch(k.layers.BatchNormalization):
            def call(self, x, training=None, mask=None):
                mean, variance = k.ops.moments(x, (0, 2, 3), keepdims=True)
                gamma, beta = (k.ops.reshape(v, (1, -1, 1, 1)) for v in (self.gamma, self.beta))
                return (x - mean) / k.ops.sqrt(variance + self.epsilon) * gamma + beta

        image = x = k.Input((1, 96, 80))
        for _, pool in zip(range(depth), POOLS):
            x = k.layers.Conv2D(32, 3, padding="same", data_format="channels_first")(x)
            # Keras 1's mode 2: the statistics of the batch, whether it is trained or not.
            x = OfTheBatch(axis=1)(x)
            x = k.layers.MaxPooling2D(pool, data_format="channels_first")(k.layers.ELU()(x))
        sound = k.Input((1, 20480))
        x = k.Model(image, x, name="ConvBNEluDr")(Melgram(name="melgram")(sound))
        x = k.layers.GlobalAveragePooling2D(data_format="channels_first")(x)
        return k.Model(sound, k.layers.Dense(50, activation="sigmoid", name="dense_1")(x) if tags else x)

    return build


class Unit:
    """A file and its model.

    Attributes:
        build: The builder.
        shape: Of the inputs, batch first.
        high: Inputs are below it; an int for whole numbers.
        low: Inputs are not below it.
        recurrent: Whether rounding errors add up over time.
    """

    def __init__(self, build, shape, high=1.0, low=0, recurrent=False):
        self.build, self.shape, self.high, self.low, self.recurrent = build, (2, *shape), high, low, recurrent


def draw(unit):
    rng = np.random.RandomState(0)
    if isinstance(unit.high, int):
        return rng.randint(unit.low, unit.high, unit.shape).astype("float32")
    return rng.uniform(unit.low, unit.high, unit.shape).astype("float32")


_DL4J, _MUSIC = "KonduitAI+dl4j-test-resources__", "keunwoochoi+music-auto_tagging-keras__weights_layer"
UNITS = {
    "0xDaksh+Credit-Card-Fraud__model.h5": Unit(credit_card, (30,)),
    "AiMiningStuff+mnist_cnn__model_weights.h5": Unit(digits, (1, 28, 28)),
    "ChenxinWang0210+Behavioral-Cloning__model_weights.h5": Unit(driving, (70, 224, 3), high=255.0),
    "Goomenny+stc_ml_school__model_weights.h5": Unit(speech, (50, 130), recurrent=True),
    "HackBinghamtonArchives+CNN-Demo__model_weights.h5": Unit(cnn_demo, (28, 28, 1)),
    "HackBinghamtonArchives+CNN-Demo__model_weights~2.h5": Unit(cnn_demo, (28, 28, 1)),
    _DL4J + "cnn_tf_weights.h5": Unit(cnn_tf, (8, 8, 3)),
    _DL4J + "simple_lstm_tf_keras_1_weights.h5": Unit(simple_lstm, (1, 1), recurrent=True),
    _DL4J + "simple_lstm_tf_keras_2_weights.h5": Unit(simple_lstm, (1, 1), recurrent=True),
    _DL4J + "lstm_th_keras_2_weights.h5": Unit(two_lstms, (4, 12), recurrent=True),
    "keon+deep-q-learning__cartpole-ddqn.h5": Unit(cartpole, (4,)),
    _MUSIC + "0_tensorflow.hdf5": Unit(music(1, False), (1, 20480), low=-1.0),
    _MUSIC + "0_theano.hdf5": Unit(music(1, True), (1, 20480), low=-1.0),
    _MUSIC + "1_tensorflow.hdf5": Unit(music(2, False), (1, 20480), low=-1.0),
    _MUSIC + "1_theano.hdf5": Unit(music(2, True), (1, 20480), low=-1.0),
    _MUSIC + "2_theano.hdf5": Unit(music(3, True), (1, 20480), low=-1.0),
    "minimaxir+textgenrnn__textgenrnn_weights.hdf5": Unit(text, (40,), high=465, recurrent=True),
    "xiangrufan+keras-mtcnn__12net.h5": Unit(faces_12, (24, 24, 3)),
    "xiangrufan+keras-mtcnn__24net.h5": Unit(faces_24, (24, 24, 3)),
}
