"""Each activation, initializer, regularizer, constraint, loss and metric, by every name it has."""

import numpy as np
import tensorflow as tf
from make import draw, keras

L = keras.layers
A = keras.activations

ACTIVATIONS = [
    n
    for n in dir(A)
    if n not in ("deserialize", "get", "serialize") and not n.startswith("_") and callable(getattr(A, n))
]
# Names and functions that activations.get takes beside its own.
MORE_ACTIVATIONS = {
    "None": None, "leaky_relu by TensorFlow": tf.nn.leaky_relu, "relu6 by TensorFlow": tf.nn.relu6,
    "silu by TensorFlow": tf.nn.silu, "relu by TensorFlow": tf.nn.relu, "tanh by TensorFlow": tf.nn.tanh,
    "sigmoid by TensorFlow": tf.nn.sigmoid, "softmax by TensorFlow": tf.nn.softmax, "elu by TensorFlow": tf.nn.elu,
    "gelu by TensorFlow": tf.nn.gelu, "silu": "silu", "leaky_relu": "leaky_relu", "relu6": "relu6",
    "log_softmax by TensorFlow": tf.nn.log_softmax, "identity by TensorFlow": tf.identity,
}  # fmt: skip
LAYER_ACTIVATIONS = {
    "LeakyReLU": lambda: L.LeakyReLU(0.1), "PReLU": lambda: L.PReLU(), "ELU": lambda: L.ELU(0.5),
    "ThresholdedReLU": lambda: L.ThresholdedReLU(0.25), "Softmax": lambda: L.Softmax(), "ReLU": lambda: L.ReLU(6.0),
}  # fmt: skip

_I = keras.initializers
INITIALIZERS = {
    "Zeros": [{}], "Ones": [{}], "Constant": [dict(value=0.5)], "RandomNormal": [{}, dict(mean=1.0, stddev=0.5, seed=1)],
    "RandomUniform": [{}, dict(minval=0.5, maxval=1.0)], "TruncatedNormal": [{}, dict(stddev=0.5)],
    "VarianceScaling": [{}, dict(scale=2.0, mode="fan_out", distribution="uniform"), dict(distribution="untruncated_normal"),
                        dict(mode="fan_avg", distribution="truncated_normal")],
    "Orthogonal": [{}, dict(gain=0.5)], "Identity": [{}, dict(gain=0.5)], "GlorotNormal": [{}], "GlorotUniform": [dict(seed=3)],
    "HeNormal": [{}], "HeUniform": [{}], "LecunNormal": [{}], "LecunUniform": [{}],
}  # fmt: skip
INITIALIZER_STRINGS = [
    "zeros", "ones", "constant", "random_normal", "random_uniform", "truncated_normal", "variance_scaling", "orthogonal",
    "identity", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform",
    "zero", "one", "normal", "uniform", "eye", "Zeros", "GlorotUniform",
]  # fmt: skip
REGULARIZERS = {
    "l1": lambda: "l1", "l2": lambda: "l2", "l1_l2": lambda: "l1_l2", "L1": lambda: keras.regularizers.L1(0.1),
    "L2": lambda: keras.regularizers.L2(0.1), "L1L2": lambda: keras.regularizers.L1L2(0.1, 0.2),
    "l1_l2 function": lambda: keras.regularizers.l1_l2(0.1, 0.2), "l2 function": lambda: keras.regularizers.l2(0.3),
    "OrthogonalRegularizer": lambda: keras.regularizers.OrthogonalRegularizer(0.1),
    "OrthogonalRegularizer columns": lambda: keras.regularizers.OrthogonalRegularizer(0.1, mode="columns"),
    "orthogonal_regularizer": lambda: "orthogonal_regularizer",
}  # fmt: skip
CONSTRAINTS = {
    "max_norm": lambda: "max_norm", "non_neg": lambda: "non_neg", "unit_norm": lambda: "unit_norm",
    "min_max_norm": lambda: "min_max_norm", "MaxNorm": lambda: keras.constraints.MaxNorm(0.5, axis=1),
    "NonNeg": lambda: keras.constraints.NonNeg(), "UnitNorm": lambda: keras.constraints.UnitNorm(axis=1),
    "MinMaxNorm": lambda: keras.constraints.MinMaxNorm(0.25, 0.5, rate=0.5, axis=0),
    "RadialConstraint": lambda: keras.constraints.RadialConstraint(),
    "radial_constraint": lambda: "radial_constraint",
}  # fmt: skip


def dense(**given):
    def build():
        x = keras.Input((4,))
        return keras.Model(x, L.Dense(4, **given)(x)), [draw(0, (2, 4))]

    return build


def activations(maker):
    for name in ACTIVATIONS:
        for title, value in ((f"activation {name!r}", name), (f"activation function {name}", getattr(A, name))):
            maker.add(f"Dense {title}", dense(activation=value))
            maker.add(f"Activation {title}", lambda value=value: _one(L.Activation(value)))
    for name, value in MORE_ACTIVATIONS.items():
        maker.add(f"Dense activation {name}", dense(activation=value))
    for name, value in LAYER_ACTIVATIONS.items():
        maker.add(f"Dense activation layer {name}", lambda value=value: dense(activation=value())())
        maker.add(
            f"Conv1D activation layer {name}", lambda value=value: _one(L.Conv1D(3, 2, activation=value()), (4, 2))
        )
    for name in ("relu", "sigmoid", "hard_sigmoid", "softsign", "swish"):
        maker.add(
            f"LSTM activation {name!r}",
            lambda name=name: _one(L.LSTM(3, activation=name, recurrent_activation=name), (4, 2)),
        )
        maker.add(
            f"GRU activation {name!r}",
            lambda name=name: _one(L.GRU(3, activation=name, recurrent_activation=name), (4, 2)),
        )


def _one(layer, shape=(4,)):
    x = keras.Input(shape)
    return keras.Model(x, layer(x)), [draw(0, (2, *shape))]


def initializers(maker):
    """Random ones are compared by mean and deviation, constant ones by value."""
    made = {repr(name): name for name in INITIALIZER_STRINGS}
    for name, each in INITIALIZERS.items():
        for given in each:
            title = f"{name} " + ", ".join(f"{k}={v!r}" for k, v in given.items())
            made[title.strip()] = (getattr(_I, name), given)
    for room in ("compat.v1",):
        for name in ("Zeros", "RandomNormal", "VarianceScaling", "glorot_uniform", "he_normal"):
            cls = getattr(tf.compat.v1.keras.initializers, name, None)
            if cls is not None:
                made[f"{room} {name}"] = (cls, {})
    for title, value in made.items():

        def build(value=value):
            found = value if isinstance(value, str) else value[0](**value[1])
            x = keras.Input((64,))
            return keras.Model(x, L.Dense(64, kernel_initializer=found)(x)), [np.zeros((1, 64), "float32")]

        maker.add(f"initializer {title}", build, fills=False)
        if maker.cases and maker.cases[-1]["name"] == f"initializer {title}":
            case = maker.cases[-1]
            kernel = build()[0].get_weights()[0]
            case["drawn"] = [float(kernel.mean()), float(kernel.std()), float(kernel.min()), float(kernel.max())]
            # The values themselves would be most of the corpus.
            case["weights"] = []


def regularizers(maker):
    for name, value in REGULARIZERS.items():
        maker.add(f"regularizer {name}", lambda value=value: dense(kernel_regularizer=value(), bias_regularizer=None)())
        if "rthogonal" not in name:
            maker.add(f"activity_regularizer {name}", lambda value=value: dense(activity_regularizer=value())())


def constraints(maker):
    for name, value in CONSTRAINTS.items():

        def build(value=value, name=name):
            if "adial" in name:
                return _one(L.Conv2D(2, 4, kernel_constraint=value(), padding="same"), (4, 4, 1))
            return dense(kernel_constraint=value())()

        maker.add(f"constraint {name}", build)
        if maker.cases and maker.cases[-1]["name"] == f"constraint {name}":
            layer = build()[0].layers[1]
            w = draw(7, tuple(layer.kernel.shape))
            maker.cases[-1]["constrained"] = [
                maker.store.put(w),
                maker.store.put(np.asarray(layer.kernel_constraint(tf.constant(w)))),
            ]


# ------------------------------------------------------------------------- losses, metrics

_LOSS_FUNCTIONS = [n for n in dir(keras.losses) if n[0].islower() and n not in ("deserialize", "get", "serialize")]
_LOSS_ALIASES = ["mse", "mae", "mape", "msle", "bce", "kld", "MSE", "MAE", "MAPE", "MSLE", "BCE", "KLD", "huber", "Huber",
                 "kl_divergence", "kullback_leibler_divergence", "cosine_similarity", "cosine_proximity", "logcosh", "log_cosh",
                 "mean_squared_error", "MeanSquaredError", "binary_crossentropy", "BinaryCrossentropy", "crossentropy"]  # fmt: skip
_LOSS_CLASSES = sorted(n for n in dir(keras.losses) if n[0].isupper() and n not in ("Loss", "Reduction")
                       and isinstance(getattr(keras.losses, n), type))  # fmt: skip
_LOSS_ARGUMENTS = {
    "BinaryCrossentropy": [dict(from_logits=True), dict(label_smoothing=0.1), dict(axis=-1)],
    "CategoricalCrossentropy": [dict(from_logits=True), dict(label_smoothing=0.1)],
    "SparseCategoricalCrossentropy": [dict(from_logits=True), dict(ignore_class=0)],
    "BinaryFocalCrossentropy": [dict(gamma=1.0, apply_class_balancing=True, alpha=0.3)],
    "CategoricalFocalCrossentropy": [dict(gamma=1.0, alpha=0.3)],
    "Huber": [dict(delta=0.5)],
    "CosineSimilarity": [dict(axis=1)],
    "MeanSquaredError": [dict(reduction="sum"), dict(reduction="none"), dict(reduction="auto"), dict(name="mine"),
                         dict(reduction="sum_over_batch_size")],
}  # fmt: skip
_METRIC_CLASSES = sorted(n for n in dir(keras.metrics) if n[0].isupper() and isinstance(getattr(keras.metrics, n), type)
                         and n not in ("Metric", "Mean", "Sum", "MeanTensor", "MeanMetricWrapper"))  # fmt: skip
_METRIC_ARGUMENTS = {
    "MeanIoU": dict(num_classes=3), "OneHotMeanIoU": dict(num_classes=3), "IoU": dict(num_classes=3, target_class_ids=[0, 1]),
    "OneHotIoU": dict(num_classes=3, target_class_ids=[0]), "BinaryIoU": dict(target_class_ids=[0, 1], threshold=0.3),
    "PrecisionAtRecall": dict(recall=0.5), "RecallAtPrecision": dict(precision=0.5),
    "SensitivityAtSpecificity": dict(specificity=0.5), "SpecificityAtSensitivity": dict(sensitivity=0.5),
    "MeanRelativeError": dict(normalizer=[1.0, 2.0, 4.0]),
}  # fmt: skip
_METRIC_MORE = {
    "AUC": [
        dict(curve="PR", num_thresholds=20),
        dict(from_logits=True),
        dict(summation_method="majoring"),
        dict(multi_label=True, num_labels=3),
    ],
    "Precision": [dict(thresholds=[0.3, 0.6]), dict(top_k=1), dict(class_id=1)],
    "Recall": [dict(thresholds=0.3), dict(top_k=1)],
    "TopKCategoricalAccuracy": [dict(k=2)],
    "SparseTopKCategoricalAccuracy": [dict(k=2)],
    "BinaryAccuracy": [dict(threshold=0.3)],
    "F1Score": [dict(average="macro"), dict(threshold=0.4)],
    "FBetaScore": [dict(beta=2.0, average="micro")],
    "MeanSquaredError": [dict(name="mine")],
    "CategoricalCrossentropy": [dict(label_smoothing=0.1)],
}
_METRIC_FUNCTIONS = [n for n in dir(keras.metrics) if n[0].islower() and n not in ("deserialize", "get", "serialize")]
_METRIC_ALIASES = ["accuracy", "acc", "Accuracy", "crossentropy", "ce", "mse", "mae", "MAE", "top_k_categorical_accuracy", "AUC",
                   "cosine_proximity", "cosine", "log_cosh", "bce", "Recall", "BinaryAccuracy"]  # fmt: skip


def targets(name):
    """Labels, whole or one by one, or numbers, as the loss or metric wants them."""
    lowered = str(name).lower().replace("_", "")
    if "sparse" in lowered:
        return draw("t", (4, 1), "i") % 3
    if "hinge" in lowered:
        return np.where(draw("t", (4, 3)) > 0, 1.0, -1.0).astype("float32")
    if any(
        word in lowered
        for word in ("mean", "mse", "mae", "mape", "msle", "cosh", "huber", "poisson", "cosine", "rootmean")
    ):
        return draw("t", (4, 3), "p")
    return np.eye(3, dtype="float32")[[0, 2, 1, 2]]


def compiled(loss, metrics, name):
    # Keras 2 looked for the logits behind a softmax, also where a loss wanted a sigmoid's.
    text = str(name).lower()
    activation = "sigmoid" if "binary" in text or text == "bce" else "softmax"
    activation = "linear" if "from_logits" in text else activation

    def build():
        x = keras.Input((4,))
        return keras.Model(x, L.Dense(3, activation=activation)(x)), [draw(0, (4, 4))]

    def training(model):
        model.compile("sgd", loss() if callable(loss) and getattr(loss, "__name__", "") == "<lambda>" else loss,
                      metrics=metrics() if callable(metrics) else metrics)  # fmt: skip
        return [targets(name)]

    return dict(build=build, training=training)


def losses(maker):
    named = dict.fromkeys([*_LOSS_FUNCTIONS, *_LOSS_ALIASES])
    for name in named:
        maker.add(f"loss {name!r}", **compiled(name, None, name))
    for name in _LOSS_FUNCTIONS:
        maker.add(f"loss function {name}", **compiled(getattr(keras.losses, name), None, name))
    for name in _LOSS_CLASSES:
        for given in [{}, *_LOSS_ARGUMENTS.get(name, ())]:
            title = ", ".join(f"{k}={v!r}" for k, v in given.items())
            maker.add(
                f"loss {name}({title})",
                **compiled(
                    lambda name=name, given=given: getattr(keras.losses, name)(**given), None, f"{name} {title}"
                ),
            )


def metrics(maker):
    for name in dict.fromkeys([*_METRIC_FUNCTIONS, *_METRIC_ALIASES]):
        maker.add(
            f"metric {name!r}",
            **compiled("mse" if "sparse" not in name else "sparse_categorical_crossentropy", [name], name),
        )
    for name in _METRIC_FUNCTIONS:
        loss = "mse" if "sparse" not in name else "sparse_categorical_crossentropy"
        maker.add(f"metric function {name}", **compiled(loss, [getattr(keras.metrics, name)], name))
    for name in _METRIC_CLASSES:
        base = _METRIC_ARGUMENTS.get(name, {})
        for given in [base, *({**base, **more} for more in _METRIC_MORE.get(name, ()))]:
            title = ", ".join(f"{k}={v!r}" for k, v in given.items())
            loss = "mse" if "Sparse" not in name else "sparse_categorical_crossentropy"
            maker.add(
                f"metric {name}({title})",
                **compiled(
                    loss, lambda name=name, given=given: [getattr(keras.metrics, name)(**given)], f"{name} {title}"
                ),
            )


def make(maker):
    activations(maker)
    initializers(maker)
    regularizers(maker)
    constraints(maker)
    losses(maker)
    metrics(maker)
