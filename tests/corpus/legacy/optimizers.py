"""One small model under every optimizer, schedule and option of both."""

from registry import MODERN, VERSION, L, keras, kind, legacy

O = keras.optimizers  # noqa: E741
S = O.schedules
BIG = 0.01  # an epsilon at which it shows where it is added


def add(name, make, where=True):
    # Two layers, one of them without a bias: slots of one and of two dimensions.
    @kind((4,), name=f"opt_{name}", optimizer=make, where=where)
    def build():
        return keras.Sequential([L.Dense(3, activation="tanh", input_shape=(4,)), L.Dense(2, use_bias=False)])


TODAY = {
    "sgd": lambda: O.SGD(0.1),
    "sgd_momentum": lambda: O.SGD(0.1, momentum=0.9),
    "sgd_nesterov": lambda: O.SGD(0.1, momentum=0.8, nesterov=True),
    "rmsprop": lambda: O.RMSprop(0.01, rho=0.8, epsilon=BIG),
    "rmsprop_momentum": lambda: O.RMSprop(0.01, momentum=0.5, epsilon=BIG),
    "rmsprop_centered": lambda: O.RMSprop(0.01, centered=True, momentum=0.2, epsilon=BIG),
    "adam": lambda: O.Adam(0.05, beta_1=0.8, epsilon=BIG),
    "adam_amsgrad": lambda: O.Adam(0.05, amsgrad=True),
    "adamw": lambda: O.AdamW(0.05, weight_decay=0.1),
    "adamax": lambda: O.Adamax(0.05, epsilon=BIG),
    "nadam": lambda: O.Nadam(0.05),
    "adagrad": lambda: O.Adagrad(0.1, epsilon=BIG),
    "adadelta": lambda: O.Adadelta(1.0, rho=0.9, epsilon=BIG),
    "ftrl": lambda: O.Ftrl(0.1, l1_regularization_strength=0.01, l2_regularization_strength=0.02,
                           l2_shrinkage_regularization_strength=0.01, beta=0.1),
    "lion": lambda: O.Lion(0.01),
    "adafactor": lambda: O.Adafactor(0.05),
    "adafactor_plain": lambda: O.Adafactor(0.05, relative_step=False, clip_threshold=0.5),
    "clipnorm": lambda: O.Adam(0.05, clipnorm=0.05),
    "clipvalue": lambda: O.SGD(0.1, clipvalue=0.05),
    "global_clipnorm": lambda: O.SGD(0.1, momentum=0.5, global_clipnorm=0.05),
    "weight_decay": lambda: O.SGD(0.1, momentum=0.5, weight_decay=0.1),
    "ema": lambda: O.SGD(0.1, momentum=0.5, use_ema=True, ema_momentum=0.6),
    "ema_overwrite": lambda: O.Adam(0.05, use_ema=True, ema_momentum=0.6, ema_overwrite_frequency=2),
    "exponential": lambda: O.Adam(S.ExponentialDecay(0.05, 2, 0.5)),
    "staircase": lambda: O.SGD(S.ExponentialDecay(0.1, 2, 0.5, staircase=True)),
    "piecewise": lambda: O.SGD(S.PiecewiseConstantDecay([1, 3], [0.1, 0.05, 0.2])),
    "polynomial": lambda: O.SGD(S.PolynomialDecay(0.1, 4, 0.01, power=2.0)),
    "polynomial_cycle": lambda: O.SGD(S.PolynomialDecay(0.1, 3, 0.01, power=0.5, cycle=True)),
    "inverse_time": lambda: O.Adam(S.InverseTimeDecay(0.05, 2, 0.5)),
    "inverse_staircase": lambda: O.SGD(S.InverseTimeDecay(0.1, 2, 0.5, staircase=True)),
    "cosine": lambda: O.SGD(S.CosineDecay(0.1, 6, alpha=0.1)),
    "cosine_restarts": lambda: O.SGD(S.CosineDecayRestarts(0.1, 3, t_mul=1.5, m_mul=0.8, alpha=0.05)),
    "schedule_decayed": lambda: O.AdamW(S.CosineDecay(0.05, 6), weight_decay=0.05),
}
for name, make in TODAY.items():
    add(name, make)
add("cosine_warmup", lambda: O.SGD(S.CosineDecay(0.01, 6, warmup_target=0.1, warmup_steps=3)), MODERN or VERSION >= "2.13")
add("loss_scale", lambda: _scaled(O.Adam(0.05)))


def _scaled(inner):
    return (O if MODERN else keras.mixed_precision).LossScaleOptimizer(inner)


LEGACY = {
    "sgd": lambda: legacy("SGD", learning_rate=0.1),
    "sgd_momentum": lambda: legacy("SGD", learning_rate=0.1, momentum=0.9, decay=0.2),
    "sgd_nesterov": lambda: legacy("SGD", learning_rate=0.1, momentum=0.8, nesterov=True),
    "rmsprop": lambda: legacy("RMSprop", learning_rate=0.01, rho=0.8, epsilon=BIG),
    "rmsprop_momentum": lambda: legacy("RMSprop", learning_rate=0.01, momentum=0.5, epsilon=BIG),
    "rmsprop_centered": lambda: legacy("RMSprop", learning_rate=0.01, centered=True, epsilon=BIG),
    "rmsprop_both": lambda: legacy("RMSprop", learning_rate=0.01, centered=True, momentum=0.2, epsilon=BIG),
    "adam": lambda: legacy("Adam", learning_rate=0.05, beta_1=0.8, epsilon=BIG),
    "adam_amsgrad": lambda: legacy("Adam", learning_rate=0.05, amsgrad=True, decay=0.1),
    "adamax": lambda: legacy("Adamax", learning_rate=0.05, epsilon=BIG),
    "nadam": lambda: legacy("Nadam", learning_rate=0.05),
    "adagrad": lambda: legacy("Adagrad", learning_rate=0.1, epsilon=BIG),
    "adadelta": lambda: legacy("Adadelta", learning_rate=1.0, rho=0.9, epsilon=BIG),
    "ftrl": lambda: legacy("Ftrl", learning_rate=0.1, l1_regularization_strength=0.01, l2_regularization_strength=0.02,
                           l2_shrinkage_regularization_strength=0.01, beta=0.1),
    "clipnorm": lambda: legacy("Adam", learning_rate=0.05, clipnorm=0.05),
    "clipvalue": lambda: legacy("SGD", learning_rate=0.1, clipvalue=0.05),
    "global_clipnorm": lambda: legacy("SGD", learning_rate=0.1, momentum=0.5, global_clipnorm=0.05),
    "both_clips": lambda: legacy("SGD", learning_rate=0.1, clipnorm=0.05, clipvalue=0.02),
    "schedule": lambda: legacy("Adam", learning_rate=S.ExponentialDecay(0.05, 2, 0.5)),
    "schedule_and_decay": lambda: legacy("SGD", learning_rate=S.ExponentialDecay(0.1, 2, 0.5), decay=0.2),
    "loss_scale": lambda: _scaled(legacy("Adam", learning_rate=0.05)),
    "fixed_scale": lambda: keras.mixed_precision.LossScaleOptimizer(
        legacy("Adam", learning_rate=0.05), dynamic=False, initial_scale=8),
}
for name, make in LEGACY.items():
    add(f"legacy_{name}", make, not MODERN)

TODAYS_OWN = {
    "lamb": lambda: O.Lamb(0.05),
    "muon": lambda: O.Muon(0.05),
    "schedule_free": lambda: O.ScheduleFreeAdamW(0.05),
    "accumulated": lambda: O.SGD(0.1, momentum=0.5, gradient_accumulation_steps=2),
}
for name, make in TODAYS_OWN.items():
    add(name, make, MODERN)
