"""The models: each layer with masks on none, one or all of its inputs; see ``make.py``."""

import numpy as np
from graphs import KEPT, OTHER, ROWS, STEPS, L, draw, keras, tf, words
from tables import FLAT, HIGH, IMAGES, LINES, MERGES, UNARY

K = keras


def layer(text):
    return eval("L." + text, {"L": L})


def unary(make):
    for text in UNARY:
        make.graph(f"masked {text}", lambda g, t=text: layer(t)(g.masked()))
    for text in ("LSTM(2)", "GlobalAveragePooling1D()", "Dense(2)", "Flatten()"):
        make.graph(f"embedded {text}", lambda g, t=text: layer(t)(g.embedded()))
    for text in HIGH:
        make.graph(f"high {text}", lambda g, t=text: layer(t)(g.high()))
    for text in FLAT:
        make.graph(f"flat {text}", lambda g, t=text: layer(t)(g.masked()))
        make.graph(f"unmasked {text}", lambda g, t=text: layer(t)(g.plain()))
    for text in LINES:
        make.graph(f"lines {text}", lambda g, t=text: layer(t)(L.Masking()(g.lines())))
    for kind, shape in (("lines", (6, 2)), ("images", (4, 4, 2))):
        for text in LINES if kind == "lines" else IMAGES:
            if text.startswith(("TimeDistributed", "ConvLSTM", "Bidirectional", "BatchN")):
                make.graph(f"{kind} mask {text}", lambda g, t=text, s=shape: layer(t)(g.shaped(*s), mask=g.feed(KEPT)))
    # A mask of (rows, steps) for scores of the same shape.
    make.graph("rank 2 Softmax()", lambda g: L.Softmax()(L.Flatten()(g.plain()), mask=g.feed(draw(1, (5, 12), "b"))))
    make.graph(
        "scores Softmax(axis=1)", lambda g: L.Softmax(axis=1)(L.Dense(1)(g.plain()), mask=g.feed(KEPT[..., None]))
    )
    for robust in (False, True):
        make.graph(
            f"Softmax(robust_masking={robust}) of a mask",
            lambda g, r=robust: L.Softmax(robust_masking=r)(g.plain(4), mask=g.feed(KEPT[:, None])),
        )


def merges(make):
    pairs = {
        "two": lambda g: [g.masked(KEPT), g.masked(OTHER, seed=1)],
        "same": lambda g: (lambda x: [x, L.Dense(3, activation="sigmoid")(x)])(g.masked()),
        "left": lambda g: [g.masked(KEPT), g.plain()],
        "right": lambda g: [g.plain(), g.masked(OTHER, seed=1)],
        "none": lambda g: [g.plain(), g.plain(seed=8)],
        "tokens": lambda g: [g.embedded(KEPT), g.embedded(OTHER, seed=1)],
        "high": lambda g: [g.high(), g.high(seed=11)],
        "three": lambda g: [g.masked(KEPT), g.plain(), g.masked(OTHER, seed=1)],
        "shared": lambda g: (lambda x: [x, x])(g.masked()),
        "wide": lambda g: [g.masked(KEPT), L.Dense(1)(g.masked(OTHER, seed=1))],
        "step": lambda g: [g.masked(KEPT), L.LSTM(3)(g.masked(OTHER, seed=1))],
        "uneven": lambda g: [g.masked(KEPT), g.masked(OTHER, width=5, seed=1)],
    }
    for text in MERGES:
        for name, inputs in pairs.items():
            make.graph(f"{name} {text}", lambda g, t=text, i=inputs: layer(t)(i(g)))
    for text in ("Add()", "Multiply()", "Maximum()", "Concatenate()", "Average()"):
        make.graph(f"pooled {text}", lambda g, t=text: L.GlobalAveragePooling1D()(layer(t)(pairs["two"](g))))
        make.graph(f"pooled left {text}", lambda g, t=text: L.GlobalAveragePooling1D()(layer(t)(pairs["left"](g))))
        make.graph(f"read {text}", lambda g, t=text: L.LSTM(2)(layer(t)(pairs["two"](g))))


def attention(make):
    for dropout in (0.0, 0.5):
        for scores in (False, True):
            for name, kwargs in (("", {}), (" causal", {"use_causal_mask": True})):
                for masks in ("both", "query", "value", "self", "none"):

                    def build(g, dropout=dropout, scores=scores, kwargs=kwargs, masks=masks):
                        q = g.masked() if masks in ("both", "query", "self") else g.plain()
                        v = (
                            q
                            if masks == "self"
                            else g.masked(OTHER, seed=1)
                            if masks in ("both", "value")
                            else g.plain(seed=9)
                        )
                        return L.MultiHeadAttention(2, 2, dropout=dropout)(
                            q, v, return_attention_scores=scores, **kwargs
                        )

                    make.graph(f"MHA {masks} dropout={dropout} scores={scores}{name}", build)
    for masks in ("self", "both"):
        for dims in ({"value_dim": 3}, {"output_shape": 5}, {"attention_axes": (1,)}):
            make.graph(
                f"MHA {masks} {dims}",
                lambda g, m=masks, d=dims: (
                    lambda q: L.MultiHeadAttention(2, 2, **d)(q, q if m == "self" else g.masked(OTHER, seed=1))
                )(g.masked()),
            )
    make.graph("MHA key", lambda g: L.MultiHeadAttention(2, 2)(g.plain(), g.masked(), g.masked(OTHER, seed=1)))
    make.graph(
        "MHA attention_mask",
        lambda g: L.MultiHeadAttention(2, 2)(
            g.plain(), g.plain(seed=2), attention_mask=g.feed(np.stack([KEPT] * 4, 1))
        ),
    )
    make.graph(
        "MHA attention_mask of one step",
        lambda g: L.MultiHeadAttention(2, 2)(g.masked(), g.masked(OTHER, seed=1), attention_mask=g.feed(KEPT[:, None])),
    )

    def residual(g):
        x = g.embedded()
        y = L.Add()([x, L.MultiHeadAttention(2, 2)(x, x)])
        return L.GlobalAveragePooling1D()(L.LayerNormalization()(y))

    make.graph("MHA residual", residual)
    make.graph(
        "MHA then the same input", lambda g: (lambda x: [L.MultiHeadAttention(2, 2)(x, x), L.LSTM(2)(x)])(g.masked())
    )
    make.graph(
        "MHA then the same value",
        lambda g: (lambda q, v: [L.MultiHeadAttention(2, 2)(q, v), L.LSTM(2)(v), L.LSTM(2)(q)])(
            g.masked(), g.masked(OTHER, seed=1)
        ),
    )
    for name in ("Attention", "AdditiveAttention"):
        for options in ({"use_causal_mask": True}, {"return_attention_scores": True}):
            make.graph(
                f"{name} {options}",
                lambda g, n=name, o=options: getattr(L, n)()([g.masked(), g.masked(OTHER, seed=1)], **o),
            )
        make.graph(f"{name} three", lambda g, n=name: getattr(L, n)()([g.masked(), g.masked(OTHER, seed=1), g.plain()]))
        make.graph(
            f"{name} key", lambda g, n=name: getattr(L, n)()([g.plain(), g.plain(seed=2), g.masked(OTHER, seed=1)])
        )
        make.graph(
            f"{name} mask",
            lambda g, n=name: getattr(L, n)()([g.plain(), g.plain(seed=2)], mask=[g.feed(KEPT), g.feed(OTHER)]),
        )


def states(make):
    kinds = {
        "LSTM": 2, "GRU": 1, "SimpleRNN": 1,
    }  # fmt: skip
    for name, n in kinds.items():
        for options in (
            {},
            {"return_sequences": True},
            {"return_sequences": True, "return_state": True},
            {"go_backwards": True, "return_sequences": True},
        ):
            make.graph(
                f"{name} state {options}",
                lambda g, k=name, n=n, o=options: getattr(L, k)(2, **o)(
                    g.masked(), initial_state=[g.feed(draw(i, (ROWS, 2))) for i in range(n)]
                ),
            )
        make.graph(
            f"{name} state and mask",
            lambda g, k=name, n=n: getattr(L, k)(2, return_sequences=True)(
                g.masked(), mask=g.feed(OTHER), initial_state=[g.feed(draw(i, (ROWS, 2))) for i in range(n)]
            ),
        )
        for options in ({}, {"return_sequences": True}, {"return_state": True, "return_sequences": True}):
            make.graph(
                f"Bidirectional {name} state {options}",
                lambda g, k=name, n=n, o=options: L.Bidirectional(getattr(L, k)(2, **o))(
                    g.masked(), initial_state=[g.feed(draw(i, (ROWS, 2))) for i in range(2 * n)]
                ),
            )
    make.graph(
        "RNN state",
        lambda g: L.RNN(L.GRUCell(2), return_sequences=True)(g.masked(), initial_state=[g.feed(draw(1, (ROWS, 2)))]),
    )
    make.graph(
        "RNN stacked state",
        lambda g: L.RNN([L.GRUCell(2), L.SimpleRNNCell(2)], return_sequences=True)(
            g.masked(), initial_state=[g.feed(draw(1, (ROWS, 2))), g.feed(draw(2, (ROWS, 2)))]
        ),
    )
    make.graph(
        "ConvLSTM2D state",
        lambda g: L.ConvLSTM2D(2, 1, return_sequences=True)(
            g.shaped(4, 4, 2), mask=g.feed(KEPT), initial_state=[g.feed(draw(i, (ROWS, 4, 4, 2))) for i in range(2)]
        ),
    )

    def seq2seq(g, wrap=False, attend=False):
        source, target = g.embedded(), g.embedded(OTHER, seed=1)
        encoder = L.LSTM(2, return_sequences=attend, return_state=True)
        if wrap:
            y, a, b, c, d = L.Bidirectional(encoder)(source)
            h, c = L.Concatenate()([a, c]), L.Concatenate()([b, d])
        else:
            y, h, c = encoder(source)
        z, *_ = L.LSTM(4 if wrap else 2, return_sequences=True, return_state=True)(target, initial_state=[h, c])
        if attend:
            z = L.Concatenate()([z, L.Attention()([z, y])])
        return L.Dense(3, activation="softmax")(z)

    make.graph("seq2seq", seq2seq)
    make.graph("seq2seq both directions", lambda g: seq2seq(g, wrap=True))
    make.graph("seq2seq attention", lambda g: seq2seq(g, attend=True))

    def stateful(kind, handed, masked=True):
        def build():
            x = keras.Input(batch_shape=(ROWS, STEPS, 3))
            state = keras.Input(batch_shape=(ROWS, 2))
            y = getattr(L, kind)(2, stateful=True, return_sequences=True)(
                L.Masking()(x) if masked else x, initial_state=state if handed else None
            )
            feed = [draw(3, (ROWS, STEPS, 3)) * (KEPT[..., None] if masked else 1)]
            return keras.Model([x, state] if handed else x, y), [
                each.astype("float32") for each in [*feed, *([draw(4, (ROWS, 2))] if handed else [])]
            ]

        return build

    for kind in ("GRU", "SimpleRNN"):
        for handed in (False, True):
            for masked in (False, True):
                make.twice(f"stateful {kind} handed={handed} masked={masked}", stateful(kind, handed, masked))


def models(make):
    def inner(*layers, shape=(STEPS, 3), dtype=None):
        return K.Sequential([L.InputLayer(shape, dtype=dtype), *layers])

    def nested(g, mode):
        i = keras.Input((STEPS, 3))
        body = L.LSTM(2, return_sequences=True)(L.Dense(3)(i))
        model = keras.Model(i, body)
        if mode == "twice":
            return [model(g.masked()), model(g.masked(OTHER, seed=1)), model(g.plain())]
        return model(g.masked())

    def two(g):
        a, b = keras.Input((STEPS, 3)), keras.Input((STEPS, 3))
        model = keras.Model([a, b], L.Add()([a, b]))
        return [
            model([g.masked(), g.plain()]),
            model([g.masked(), g.masked(OTHER, seed=1)]),
            model([g.plain(), g.plain(seed=3)]),
        ]

    def chosen(g):
        a, b = keras.Input((STEPS, 3)), keras.Input((STEPS, 3))
        return keras.Model([a, b], [L.Dense(2)(b), L.Multiply()([a, b])])([g.masked(), g.masked(OTHER, seed=1)])

    def shared(g):
        read = L.LSTM(2, return_sequences=True)
        return [read(g.masked()), read(g.plain()), read(g.masked(OTHER, seed=1))]

    def deep(g):
        i = keras.Input((STEPS, 3))
        one = keras.Model(i, L.Multiply()([i, L.Dense(3)(i)]))
        j = keras.Input((STEPS, 3))
        two = keras.Model(j, L.LSTM(2)(one(one(j))))
        return two(g.masked())

    make.graph("nested", lambda g: nested(g, "once"))
    make.graph("nested twice", lambda g: nested(g, "twice"))
    make.graph("nested merge", two)
    make.graph("nested two inputs", chosen)
    make.graph("nested deep", deep)
    make.graph("shared LSTM", shared)
    make.graph("nested sequential", lambda g: inner(L.Dense(3), L.LSTM(2))(g.masked()))
    make.graph("nested sequential keeps", lambda g: L.LSTM(2)(inner(L.Dense(3), L.Dropout(0.5))(g.masked())))
    make.graph(
        "nested sequential begins",
        lambda g: L.GlobalAveragePooling1D()(
            inner(L.Masking(), L.Dense(3))(g.feed(draw(2, (ROWS, STEPS, 3)) * KEPT[..., None].astype("f4")))
        ),
    )
    make.graph(
        "nested embedding",
        lambda g: L.LSTM(2)(inner(L.Embedding(7, 3, mask_zero=True), shape=(STEPS,), dtype="int32")(g.feed(words()))),
    )
    make.graph("nested flat", lambda g: L.LSTM(2)(inner(L.Conv1D(3, 1))(g.masked())))
    make.graph("TimeDistributed model", lambda g: L.TimeDistributed(inner(L.Dense(2), shape=(3,)))(g.masked()))
    make.graph(
        "TimeDistributed reader", lambda g: L.TimeDistributed(inner(L.Masking(), L.LSTM(2), shape=(6, 2)))(g.lines())
    )
    make.graph(
        "TimeDistributed sentences",
        lambda g: L.LSTM(2)(
            L.TimeDistributed(inner(L.Embedding(7, 3, mask_zero=True), L.LSTM(2), shape=(2,), dtype="int32"))(
                g.feed(np.stack([words(), words(OTHER, 1)], -1))
            )
        ),
    )
    make.graph(
        "TimeDistributed embedding",
        lambda g: L.TimeDistributed(L.Embedding(7, 3, mask_zero=True))(
            g.feed(np.stack([words(), words(OTHER, 1)], -1))
        ),
    )
    make.graph(
        "sequential",
        lambda g: inner(
            L.Masking(),
            L.Dense(3),
            L.Bidirectional(L.GRU(2, return_sequences=True)),
            L.TimeDistributed(L.Dense(2)),
            L.GlobalAveragePooling1D(),
        )(g.feed(draw(2, (ROWS, STEPS, 3)) * KEPT[..., None].astype("f4"))),
    )


def training(make):
    for text in ("BatchNormalization()", "LayerNormalization()", "BatchNormalization(momentum=0.5)"):
        make.trained(f"trained {text}", lambda g, t=text: layer(t)(g.masked()))
        make.trained(f"trained embedded {text}", lambda g, t=text: layer(t)(g.embedded()))
    for text in ("TimeDistributed(L.BatchNormalization())", "BatchNormalization()"):
        make.trained(f"trained lines {text}", lambda g, t=text: layer(t)(L.Masking()(g.lines())))
        make.trained(f"trained high {text}", lambda g, t=text: layer(t)(g.high()))
        make.trained(f"trained flat {text}", lambda g, t=text: layer(t)(g.masked()))
    for text in ("TimeDistributed(L.BatchNormalization())", "BatchNormalization()"):
        make.trained(f"trained mask {text}", lambda g, t=text: layer(t)(g.plain(), mask=g.feed(KEPT)))


def operations(make):
    steps = {
        "x * 2": lambda x: x * 2.0,
        "x + x": lambda x: x + x,
        "cast": lambda x: tf.cast(x, "float32"),
        "cast half": lambda x: tf.cast(x, "float16"),
        "identity": tf.identity,
        "stop_gradient": tf.stop_gradient,
        "reshape": lambda x: tf.reshape(x, (-1, STEPS, 3)),
        "transpose": lambda x: tf.transpose(x, (0, 1, 2)),
        "squeeze": lambda x: tf.squeeze(tf.expand_dims(x, 1), 1),
        "slice": lambda x: x[:, :, :],
        "slice steps": lambda x: x[:, 1:],
        "relu": tf.nn.relu,
        "concat": lambda x: tf.concat([x], -1),
        "clip": lambda x: tf.clip_by_value(x, -9.0, 9.0),
        "abs": tf.abs,
        "tile": lambda x: tf.tile(x, (1, 1, 1)),
        "where": lambda x: tf.where(x > 0, x, x),
        "convert": tf.convert_to_tensor,
        "ensure": lambda x: tf.ensure_shape(x, (None, STEPS, 3)),
        "broadcast": lambda x: tf.broadcast_to(x, tf.shape(x)),
        "K.cast": lambda x: K.backend.cast(x, "float32"),
        "K.reshape": lambda x: K.backend.reshape(x, (-1, STEPS, 3)),
        "K.dropout": lambda x: K.backend.relu(x),
        "K.permute": lambda x: K.backend.permute_dimensions(x, (0, 1, 2)),
    }
    for name, step in steps.items():
        make.graph(f"tf {name}", lambda g, s=step: s(g.masked()))
        make.graph(f"tf {name} read", lambda g, s=step: L.LSTM(2)(s(g.masked())))


def make(maker):
    for part in (unary, merges, attention, states, models, training, operations):
        part(maker)
