"""Models as TensorFlow's Keras writes them: ``.h5`` and ``.keras``, with outputs and losses.

    python make.py FOLDER [KIND …]      under TF 2.12 to 2.15, or TF 2.16+ with tf_keras

For each kind: two steps of training, then ``FOLDER/<kind>.h5`` and ``<kind>.keras``, and in
``FOLDER/<kind>.npz`` the inputs ``x0…``, the writer's own outputs ``y0…``, targets ``t0…`` and
the losses of three more steps.  What a writer cannot save is left out.  Never imports kio.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf

try:
    import tf_keras as keras
except ImportError:
    from tensorflow import keras

L = keras.layers
KINDS = {}


def kind(*shapes, optimizer="Adam", ints=False, **options):
    def add(build):
        KINDS[build.__name__] = (build, shapes, optimizer, ints, options)
        return build

    return add


def legacy(name, **arguments):
    return getattr(keras.optimizers.legacy, name)(**arguments)


@kind((5,))
def dense():
    return keras.Sequential([L.Dense(4, activation="relu", input_shape=(5,)), L.Dense(2)])


@kind((5,), optimizer="SGD")
def dense_with_input():
    return keras.Sequential([keras.Input((5,)), L.Dense(4, activation="gelu"), L.Dense(2)])


@kind((8, 8, 3), optimizer=lambda: legacy("Adam", learning_rate=0.01))
def convolutions():
    return keras.Sequential([
        L.Conv2D(4, 3, padding="same", input_shape=(8, 8, 3)), L.BatchNormalization(), L.LeakyReLU(alpha=0.2),
        L.DepthwiseConv2D(3), L.ReLU(6.0), L.SeparableConv2D(4, 2), L.Conv2DTranspose(3, 2, strides=2),
        L.MaxPooling2D(), L.ZeroPadding2D(1), L.Cropping2D(1), L.UpSampling2D(), L.SpatialDropout2D(0.0),
        L.GlobalAveragePooling2D(), L.Dense(2),
    ])


@kind((8, 3), optimizer="RMSprop")
def convolution_1d():
    return keras.Sequential([
        L.Conv1D(4, 3, padding="causal", dilation_rate=2, input_shape=(8, 3)), L.MaxPooling1D(), L.SeparableConv1D(4, 2),
        L.Conv1DTranspose(3, 2), L.AveragePooling1D(), L.Flatten(), L.Dense(2),
    ])


@kind((4, 4, 4, 2), optimizer="Adagrad")
def convolution_3d():
    return keras.Sequential([L.Conv3D(2, 2, input_shape=(4, 4, 4, 2)), L.AveragePooling3D(), L.Flatten(), L.Dense(2)])


@kind((6, 3))
def lstm():
    return keras.Sequential([L.LSTM(4, return_sequences=True, input_shape=(6, 3)), L.LSTM(3), L.Dense(2)])


@kind((6, 3), optimizer=lambda: legacy("RMSprop", learning_rate=0.01, momentum=0.5))
def recurrent():
    return keras.Sequential([
        L.GRU(4, return_sequences=True, input_shape=(6, 3)), L.GRU(3, reset_after=False, return_sequences=True),
        L.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True), L.SimpleRNN(3), L.Dense(2),
    ])


@kind((6, 3))
def bidirectional():
    return keras.Sequential([
        L.Bidirectional(L.LSTM(3, return_sequences=True), input_shape=(6, 3)),
        L.Bidirectional(L.GRU(2), merge_mode="sum"), L.Dense(2),
    ])


@kind((6, 3), optimizer="Adamax")
def stacked_cells():
    return keras.Sequential([keras.Input((6, 3)), L.RNN([L.LSTMCell(3), L.GRUCell(4)]), L.Dense(2)])


@kind((3, 6, 6, 2))
def conv_lstm():
    return keras.Sequential([L.ConvLSTM2D(2, 3, input_shape=(3, 6, 6, 2)), L.Flatten(), L.Dense(2)])


@kind((4, 5), optimizer="SGD")
def time_distributed():
    return keras.Sequential([
        L.TimeDistributed(L.Dense(3), input_shape=(4, 5)), L.TimeDistributed(L.BatchNormalization()), L.Flatten(), L.Dense(2),
    ])


@kind((7,), ints=True)
def embedding():
    return keras.Sequential([L.Embedding(5, 3, input_length=7), L.GlobalAveragePooling1D(), L.Dense(2)])


@kind((7,), ints=True)
def masked():
    return keras.Sequential([L.Embedding(5, 3, mask_zero=True, input_length=7), L.LSTM(3), L.Dense(2)])


@kind((5, 4))
def attention():
    x = keras.Input((5, 4))
    y = L.MultiHeadAttention(2, 3)(x, x)
    y = L.LayerNormalization()(y + x)
    y = L.Attention()([y, x])
    return keras.Model(x, L.Dense(2)(L.Flatten()(y)))


@kind((4,), (4,), optimizer="Nadam")
def shared():
    a, b = keras.Input((4,)), keras.Input((4,))
    one = L.Dense(3, name="one")
    return keras.Model([a, b], L.Concatenate()([one(a), one(b), L.Subtract()([one(a), one(b)])]))


@kind((4,))
def nested():
    def inner():
        return keras.Sequential([L.Dense(3, input_shape=(4,)), L.BatchNormalization(), L.Dense(4)])

    i = keras.Input((4,))
    outer = keras.Model(i, L.Dense(4)(inner()(i)))
    x = keras.Input((4,))
    twice = inner()
    return keras.Model(x, L.Dense(2)(outer(L.Add()([twice(x), twice(twice(x))]))))


@kind((4,))
def nested_frozen():
    i = keras.Input((4,))
    inner = keras.Model(i, L.Dense(4, name="q")(L.Dense(4, name="p")(i)))
    inner.get_layer("p").trainable = False
    x = keras.Input((4,))
    return keras.Model(x, L.Dense(2)(inner(x)))


@kind((4,), (3,), optimizer=lambda: keras.optimizers.AdamW(0.01))
def several_outputs():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    y = L.Concatenate()([a, b])
    return keras.Model([a, b], [L.Dense(2, name="u")(y), L.Dense(3, name="v")(y)])


@kind((4,), optimizer="Adadelta")
def merging():
    x = keras.Input((4,))
    a, b = L.Dense(3)(x), L.Dense(3)(x)
    y = [L.Add()([a, b]), L.Multiply()([a, b]), L.Average()([a, b]), L.Maximum()([a, b]), L.Dot(axes=1)([a, b])]
    return keras.Model(x, L.Dense(2)(L.Concatenate()(y)))


@kind((6, 4))
def operators():
    x = keras.Input((6, 4))
    y = tf.nn.relu(x * 2.0 - 1.0) + tf.reduce_mean(x, axis=1, keepdims=True)
    y = tf.concat([y, x[:, :, 1:3]], axis=-1)
    y = tf.transpose(y, [0, 2, 1]) / 3.0
    y = tf.clip_by_value(tf.reshape(y, (-1, 36)), -1.0, 1.0) ** 2
    return keras.Model(x, L.Dense(2)(tf.nn.softmax(y)))


@kind((8, 8, 3))
def preprocessed():
    x = keras.Input((8, 8, 3))
    y = keras.applications.resnet50.preprocess_input(x)
    y = L.Rescaling(1 / 64.0, offset=-0.5)(y)
    y = L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(y)
    return keras.Model(x, L.Dense(2)(L.Flatten()(y)))


@kind((5,))
def activations():
    names = ["elu", "exponential", "gelu", "hard_sigmoid", "linear", "relu", "selu", "sigmoid", "softplus", "softsign", "swish", "tanh", "softmax"]
    x = y = keras.Input((5,))
    for name in names:
        y = L.Dense(5, activation=name)(y)
    for layer in (L.PReLU(), L.ELU(0.5), L.ThresholdedReLU(0.1), L.Softmax(), L.Activation("hard_sigmoid")):
        y = layer(y)
    return keras.Model(x, L.Dense(2)(y))


@kind((6, 6, 2))
def locally_connected():
    return keras.Sequential([L.LocallyConnected2D(2, 3, strides=(1, 2), input_shape=(6, 6, 2)),
                             L.Reshape((-1, 4)), L.LocallyConnected1D(3, 2), L.Flatten(), L.Dense(2)])


@kind((5,))
def constrained():
    return keras.Sequential([
        L.Dense(4, input_shape=(5,), kernel_regularizer=keras.regularizers.l1_l2(0.01, 0.02), bias_regularizer="l2",
                kernel_constraint=keras.constraints.MaxNorm(2.0), kernel_initializer=keras.initializers.HeNormal(seed=3),
                activity_regularizer="l1"),
        L.Dense(2, kernel_initializer=keras.initializers.VarianceScaling(0.5, distribution="uniform")),
    ])


@kind((5,), optimizer=lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)))
def scheduled():
    return keras.Sequential([L.Dense(4, input_shape=(5,)), L.Dense(2)])


@kind((5,), optimizer=lambda: legacy("SGD", learning_rate=0.01, momentum=0.9, decay=0.1))
def decayed():
    return keras.Sequential([L.Dense(4, input_shape=(5,)), L.Dense(2)])


@kind((5,), loss=lambda: keras.losses.Huber(), metrics=lambda: ["mae", keras.metrics.MeanSquaredError(), "mse"])
def loss_objects():
    return keras.Sequential([L.Dense(4, input_shape=(5,)), L.Dense(2)])


@kind((5,), optimizer="SGD", policy="mixed_float16")
def mixed_precision():
    return keras.Sequential([L.Dense(4, input_shape=(5,)), L.Dense(2, dtype="float32")])


@kind((5,))
def unbuilt_first():
    model = keras.Sequential([L.Dense(4), L.Dense(2)])
    model.build((None, 5))
    return model


@kind((3, 3, 1), optimizer="Ftrl")
def padding():
    return keras.Sequential([L.ZeroPadding2D(((1, 0), (0, 1)), input_shape=(3, 3, 1)), L.Permute((2, 1, 3)), L.Flatten(),
                             L.RepeatVector(2), L.Flatten(), L.Dropout(0.0), L.GaussianNoise(0.0), L.Dense(2)])


def write(folder, name):
    build, shapes, optimizer, ints, options = KINDS[name]
    keras.backend.clear_session()
    keras.utils.set_random_seed(7)
    keras.mixed_precision.set_global_policy(options.get("policy", "float32"))
    model = build()
    keras.mixed_precision.set_global_policy("float32")
    rng = np.random.RandomState(1)
    xs = [rng.randint(0, 5, (4, *s)) if ints else rng.uniform(-1, 1, (4, *s)).astype("float32") for s in shapes]
    one = xs[0] if len(xs) == 1 else xs
    ys = model(one)
    ts = [rng.uniform(0, 1, y.shape).astype("float32") for y in (ys if isinstance(ys, (list, tuple)) else [ys])]
    target = ts[0] if len(ts) == 1 else ts
    made = optimizer() if callable(optimizer) else getattr(keras.optimizers, optimizer)(learning_rate=0.01)
    loss = options["loss"]() if "loss" in options else "mse"
    metrics = options["metrics"]() if "metrics" in options else ["mae"]
    model.compile(made, loss, metrics=metrics, jit_compile=False)
    for _ in range(2):
        model.train_on_batch(one, target)
    written = []
    for suffix in (".h5", ".keras"):
        try:
            model.save(folder / (name + suffix))
            written.append(suffix)
        except Exception as error:
            (folder / (name + suffix)).unlink(missing_ok=True)
            print(name, suffix, type(error).__name__, str(error)[:100])
    ys = model(one)
    ys = [np.asarray(y, "float32") for y in (ys if isinstance(ys, (list, tuple)) else [ys])]
    losses = []
    for _ in range(3):
        value = model.train_on_batch(one, target)
        losses.append(float(value[0] if isinstance(value, (list, tuple)) else value))
    np.savez(folder / (name + ".npz"), losses=losses, **{f"x{i}": x for i, x in enumerate(xs)},
             **{f"y{i}": y for i, y in enumerate(ys)}, **{f"t{i}": t for i, t in enumerate(ts)})
    print(name, written)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or KINDS:
        try:
            write(folder, name)
        except Exception as error:
            print(name, "FAILED", type(error).__name__, str(error)[:300])
    print(tf.__version__)
