"""Models of layers of all sorts."""

import numpy as np
from registry import MODERN, VERSION, L, keras, kind, legacy

LENGTH = {} if MODERN else {"input_length": 7}


def leaky(slope):
    return L.LeakyReLU(**{"negative_slope" if MODERN else "alpha": slope})


@kind((5,))
def dense():
    return keras.Sequential([L.Dense(4, activation="relu", input_shape=(5,)), L.Dense(2)])


@kind((5,), optimizer="SGD")
def dense_with_input():
    return keras.Sequential([keras.Input((5,)), L.Dense(4, activation="gelu"), L.Dense(2)])


@kind((8, 8, 3), optimizer=lambda: "Adam" if MODERN else legacy("Adam", learning_rate=0.01))
def convolutions():
    return keras.Sequential([
        L.Conv2D(4, 3, padding="same", input_shape=(8, 8, 3)), L.BatchNormalization(), leaky(0.2),
        L.DepthwiseConv2D(3), L.ReLU(6.0), L.SeparableConv2D(4, 2), L.Conv2DTranspose(3, 2, strides=2),
        L.MaxPooling2D(), L.ZeroPadding2D(1), L.Cropping2D(1), L.UpSampling2D(), L.SpatialDropout2D(0.0),
        L.GlobalAveragePooling2D(), L.Dense(2),
    ])


@kind((8, 3), optimizer="RMSprop")
def convolution_1d():
    return keras.Sequential([
        L.Conv1D(4, 3, padding="causal", dilation_rate=2, input_shape=(8, 3)), L.MaxPooling1D(), L.SeparableConv1D(4, 2),
        L.Conv1DTranspose(3, 2), L.AveragePooling1D(2), L.Flatten(), L.Dense(2),
    ])


@kind((4, 4, 4, 2), optimizer="Adagrad")
def convolution_3d():
    return keras.Sequential([L.Conv3D(2, 2, input_shape=(4, 4, 4, 2)), L.AveragePooling3D(2), L.Flatten(), L.Dense(2)])


@kind((6, 3))
def lstm():
    return keras.Sequential([L.LSTM(4, return_sequences=True, input_shape=(6, 3)), L.LSTM(3), L.Dense(2)])


@kind((6, 3), optimizer=lambda: "RMSprop" if MODERN else legacy("RMSprop", learning_rate=0.01, momentum=0.5))
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
    return keras.Sequential([L.Embedding(5, 3, **LENGTH), L.GlobalAveragePooling1D(), L.Dense(2)])


@kind((7,), ints=True)
def masked():
    return keras.Sequential([L.Embedding(5, 3, mask_zero=True, **LENGTH), L.LSTM(3), L.Dense(2)])


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


@kind((6, 4), where=not MODERN)
def operators():
    import tensorflow as tf

    x = keras.Input((6, 4))
    y = tf.nn.relu(x * 2.0 - 1.0) + tf.reduce_mean(x, axis=1, keepdims=True)
    y = tf.concat([y, x[:, :, 1:3]], axis=-1)
    y = tf.transpose(y, [0, 2, 1]) / 3.0
    y = tf.clip_by_value(tf.reshape(y, (-1, 36)), -1.0, 1.0) ** 2
    return keras.Model(x, L.Dense(2)(tf.nn.softmax(y)))


@kind((6, 4), where=MODERN, name="operators")
def operations():
    ops = keras.ops
    x = keras.Input((6, 4))
    y = ops.relu(x * 2.0 - 1.0) + ops.mean(x, axis=1, keepdims=True)
    y = ops.concatenate([y, x[:, :, 1:3]], axis=-1)
    y = ops.transpose(y, [0, 2, 1]) / 3.0
    y = ops.clip(ops.reshape(y, (-1, 36)), -1.0, 1.0) ** 2
    return keras.Model(x, L.Dense(2)(ops.softmax(y)))


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
    gone = () if MODERN else (L.ThresholdedReLU(0.1),)
    for layer in (L.PReLU(), L.ELU(0.5), *gone, L.Softmax(), L.Activation("hard_sigmoid")):
        y = layer(y)
    return keras.Model(x, L.Dense(2)(y))


@kind((6, 6, 2), where=not MODERN)
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


@kind((5,), optimizer=lambda: legacy("SGD", learning_rate=0.01, momentum=0.9, decay=0.1), where=not MODERN)
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


@kind((6, 3), (6, 3))
def sequence_to_sequence():
    a, b = keras.Input((6, 3)), keras.Input((6, 3))
    _, h, c = L.LSTM(4, return_state=True)(a)
    y = L.LSTM(4, return_sequences=True)(b, initial_state=[h, c])
    y, g = L.GRU(4, return_sequences=True, return_state=True)(y, initial_state=h)
    return keras.Model([a, b], [L.TimeDistributed(L.Dense(2))(y), g])


@kind((6, 3))
def backwards():
    return keras.Sequential([
        L.Masking(0.5, input_shape=(6, 3)), L.GRU(3, go_backwards=True, return_sequences=True),
        L.Bidirectional(L.SimpleRNN(2), merge_mode="concat", backward_layer=L.GRU(2, go_backwards=True)), L.Dense(2),
    ])


@kind((3, 6, 2))
def conv_lstm_1d():
    return keras.Sequential([
        L.Bidirectional(L.ConvLSTM1D(2, 3, recurrent_activation="hard_sigmoid"), input_shape=(3, 6, 2)),
        L.Flatten(), L.Dense(2),
    ])


@kind((6, 4), (6, 4))
def attention_variants():
    a, b = keras.Input((6, 4)), keras.Input((6, 4))
    y = L.AdditiveAttention()([a, b])
    y = L.Attention(use_scale=True)([y, b], use_causal_mask=True)
    y, _ = L.MultiHeadAttention(2, 3, value_dim=2, output_shape=5)(y, b, return_attention_scores=True)
    return keras.Model([a, b], L.Dense(2)(L.GlobalAveragePooling1D()(y)))


@kind((6, 6, 4))
def normalizations():
    return keras.Sequential([
        L.Conv2D(4, 3, input_shape=(6, 6, 4)), L.BatchNormalization(momentum=0.7, epsilon=0.01, scale=False),
        L.LayerNormalization(axis=[2, 3]), L.GroupNormalization(2), L.BatchNormalization(axis=1, center=False),
        L.UnitNormalization(), L.Flatten(), L.Dense(2),
    ])


@kind((6, 6, 2))
def frozen():
    model = keras.Sequential([
        L.Conv2D(2, 3, input_shape=(6, 6, 2)), L.BatchNormalization(), L.Conv2D(2, 3), L.BatchNormalization(),
        L.Flatten(), L.Dense(2),
    ])
    model.layers[0].trainable = False
    model.layers[1].trainable = False
    return model


@kind((4,), (4,))
def shared_model():
    i = keras.Input((4,))
    tower = keras.Model(i, L.BatchNormalization()(L.Dense(3)(i)), name="tower")
    a, b = keras.Input((4,)), keras.Input((4,))
    return keras.Model([a, b], L.Dense(2)(L.Dot(axes=1, normalize=True)([tower(a), tower(b)])))


@kind((4,), (3,), loss=lambda: {"u": "mse", "v": keras.losses.MeanAbsoluteError()},
      metrics=lambda: {"u": ["mae"], "v": ["mse"]}, loss_weights={"u": 0.5, "v": 2.0})
def outputs_by_name():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    y = L.Concatenate()([a, b])
    return keras.Model([a, b], {"u": L.Dense(2, name="u")(y), "v": L.Dense(3, name="v")(y)})


@kind((5,), loss=lambda: "sparse_categorical_crossentropy", metrics=lambda: ["accuracy"],
      targets=lambda rng, shapes: [rng.randint(0, 3, (4,))])
def classifier():
    return keras.Sequential([L.Dense(4, activation="relu", input_shape=(5,)), L.Dense(3, activation="softmax")])


@kind((5,), loss=lambda: keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
      metrics=lambda: [keras.metrics.CategoricalAccuracy(), keras.metrics.TopKCategoricalAccuracy(2)],
      targets=lambda rng, shapes: [rng.permutation([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]).astype("float32")])
def logits():
    return keras.Sequential([L.Dense(4, activation="swish", input_shape=(5,)), L.Dense(3)])


@kind((5,), loss=lambda: "binary_crossentropy", metrics=lambda: [keras.metrics.AUC(), "accuracy"],
      targets=lambda rng, shapes: [rng.randint(0, 2, (4, 1)).astype("float32")])
def binary():
    return keras.Sequential([L.Dense(4, activation="tanh", input_shape=(5,)), L.Dense(1, activation="sigmoid")])


@kind((5,), policy="mixed_bfloat16", optimizer="SGD")
def mixed_bfloat16():
    return keras.Sequential([L.Dense(4, input_shape=(5,)), L.Dense(2, dtype="float32")])


@kind((5,), optimizer=None)
def not_compiled():
    return keras.Sequential([L.Dense(4, input_shape=(5,)), L.Dense(2)])


@kind((4,))
def subclassed():
    from customs import Net

    model = Net()
    model(np.zeros((1, 4), "float32"))
    return model


@kind((4,), loss=lambda: __import__("customs").weighed, metrics=lambda: [__import__("customs").largest])
def custom():
    from customs import Blend, Scale, bent

    x = keras.Input((4,))
    y = Scale(2.0)(L.Dense(3, activation=bent)(x))
    return keras.Model(x, L.Dense(2)(Blend(3)(y)))


@kind((6, 3), train=False, where=not MODERN)
def cudnn_lstm():
    from cudnn import CuDNNLSTM

    return keras.Sequential([
        CuDNNLSTM(4, return_sequences=True, input_shape=(6, 3)), L.Bidirectional(CuDNNLSTM(2)), L.Dense(2),
    ])


@kind((6, 3), train=False, where=not MODERN)
def cudnn_gru():
    from cudnn import CuDNNGRU

    return keras.Sequential([
        CuDNNGRU(4, return_sequences=True, input_shape=(6, 3)), L.Bidirectional(CuDNNGRU(2)), L.Dense(2),
    ])


@kind((4,), where=VERSION >= "2.13")
def lambda_layer():
    return keras.Sequential([L.Dense(3, input_shape=(4,)), L.Lambda(lambda x: x * 2.0 + 1.0), L.Dense(2)])


@kind((32, 32, 3), optimizer="SGD", stored=False)
def mobilenet():
    return keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=2)
