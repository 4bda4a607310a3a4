"""TensorFlow functions, operators, methods and ``K.*`` called on Keras tensors."""

import tensorflow as tf
from make import draw, keras

K = keras.backend
M, N, LA, IM = tf.math, tf.nn, tf.linalg, tf.image
# Input shapes by kind: vectors, sequences, images, whole numbers, truth values, positive, squares.
SHAPES = {"v": (4,), "s": (3, 4), "m": (4, 5, 2), "i": (4,), "b": (4,), "p": (4,), "q": (3, 3)}

FUNCTIONS = {
    "v": {
        "x + 2": lambda x: x + 2, "2.5 + x": lambda x: 2.5 + x, "x + x": lambda x: x + x, "x - 1": lambda x: x - 1,
        "1 - x": lambda x: 1 - x, "x * 3": lambda x: x * 3, "3 * x": lambda x: 3 * x, "x / 2": lambda x: x / 2,
        "2 / x": lambda x: 2 / (x + 3), "x // 0.5": lambda x: x // 0.5, "x % 0.3": lambda x: x % 0.3, "x ** 2": lambda x: x**2,
        "2 ** x": lambda x: 2.0**x, "-x": lambda x: -x, "abs(x)": abs, "x > 0": lambda x: x > 0, "x >= 0": lambda x: x >= 0,
        "x < 0": lambda x: x < 0, "x <= 0": lambda x: x <= 0, "0.5 // x": lambda x: 0.5 // (x + 3), "5 % x": lambda x: 5.0 % (x + 3),
        "softmax dim": lambda x: tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2(labels=x, logits=x * 2, axis=0), "convert": lambda x: tf.convert_to_tensor(x, dtype=tf.float32),
        "x + constant": lambda x: x + tf.constant([1.0, 2.0, 3.0, 4.0]), "constant - x": lambda x: tf.constant([[1.0], [2.0]]) - x,
        "x + list": lambda x: x + [1.0, 2.0, 3.0, 4.0], "x @ constant": lambda x: x @ tf.ones((4, 2)),
        "x == x": lambda x: tf.equal(x, 0.5), "x != x": lambda x: tf.not_equal(x, 0.5),
        **{f"math.{n}": getattr(M, n) for n in (
            "abs", "acos", "asin", "asinh", "atan", "ceil", "cos", "cosh", "erf", "exp", "expm1", "floor",
            "is_finite", "is_inf", "is_nan", "negative", "rint", "round", "sigmoid", "sign", "sin", "sinh", "softplus",
            "softsign", "square", "tan", "tanh", "l2_normalize", "reduce_all_", "bessel_i0", "erfinv", "erfc", "nextafter_", "ndtri",
            "sobol_sample_", "unsorted_segment_sum_", "zero_fraction", "reduce_euclidean_norm", "reduce_variance", "reduce_std",
            "reduce_logsumexp", "argmax", "argmin", "cumsum", "cumprod", "log_sigmoid", "log_softmax", "top_k", "cumulative_logsumexp",
            "digamma", "lgamma", "atanh", "imag", "real", "conj",
        ) if hasattr(M, n)},
        "math.add": lambda x: M.add(x, 1.0), "math.subtract": lambda x: M.subtract(2.0, x), "math.multiply": lambda x: M.multiply(x, x),
        "math.divide": lambda x: M.divide(x, 3.0), "math.truediv": lambda x: M.truediv(x, 4.0), "math.divide_no_nan": lambda x: M.divide_no_nan(x, tf.constant([0.0, 1.0, 2.0, 4.0])),
        "math.floordiv": lambda x: M.floordiv(x, 0.5), "math.floormod": lambda x: M.floormod(x, 0.3), "math.mod": lambda x: M.mod(x, 0.3),
        "math.pow": lambda x: M.pow(x, 3.0), "math.maximum": lambda x: M.maximum(x, 0.1), "math.minimum": lambda x: M.minimum(0.1, x),
        "math.squared_difference": lambda x: M.squared_difference(x, 0.25), "math.multiply_no_nan": lambda x: M.multiply_no_nan(x, tf.constant([0.0, 1.0, 2.0, 0.0])),
        "math.equal": lambda x: M.equal(x, 0.5), "math.not_equal": lambda x: M.not_equal(x, 0.5), "math.greater": lambda x: M.greater(x, 0.0),
        "math.greater_equal": lambda x: M.greater_equal(x, 0.0), "math.less": lambda x: M.less(x, 0.0), "math.less_equal": lambda x: M.less_equal(x, 0.0),
        "math.atan2": lambda x: M.atan2(x, 0.5), "math.add_n": lambda x: M.add_n([x, x, x]), "math.accumulate_n": lambda x: M.accumulate_n([x, x]),
        "math.xlogy": lambda x: M.xlogy(x, 2.0), "math.xdivy": lambda x: M.xdivy(x, 2.0), "math.igamma": lambda x: M.igamma(2.0, x + 2.0),
        "math.cumsum reverse": lambda x: M.cumsum(x, axis=1, reverse=True), "math.cumsum exclusive": lambda x: M.cumsum(x, axis=1, exclusive=True),
        "math.cumprod axis": lambda x: M.cumprod(x, axis=1), "math.scalar_mul": lambda x: M.scalar_mul(2.0, x),
        "math.in_top_k": lambda x: M.in_top_k(tf.constant([0, 1]), x, 2), "math.top_k k": lambda x: M.top_k(x, k=2, sorted=True).values,
        "math.top_k indices": lambda x: M.top_k(x, k=2).indices, "math.confusion_matrix": lambda x: M.confusion_matrix([0, 1], [0, 1]) + tf.cast(x[:, :2], "int32"),
        "math.polyval": lambda x: M.polyval([1.0, 2.0, 3.0], x), "math.approx_max_k": lambda x: M.approx_max_k(x, 2)[0],
        "math.sqrt": lambda x: M.sqrt(x + 2), "math.rsqrt": lambda x: M.rsqrt(x + 2), "math.log": lambda x: M.log(x + 2), "math.log1p": lambda x: M.log1p(x + 2),
        "math.reciprocal": lambda x: M.reciprocal(x + 2), "math.reciprocal_no_nan": M.reciprocal_no_nan, "math.acosh": lambda x: M.acosh(x + 2),
        **{f"nn.{n}": getattr(N, n) for n in (
            "relu", "relu6", "elu", "selu", "gelu", "silu", "swish", "softmax", "log_softmax", "softplus", "softsign", "sigmoid", "tanh",
            "leaky_relu", "crelu", "l2_normalize_", "zero_fraction",
        ) if hasattr(N, n)},
        "nn.leaky_relu alpha": lambda x: N.leaky_relu(x, alpha=0.1), "nn.gelu approximate": lambda x: N.gelu(x, approximate=True),
        "nn.silu beta": lambda x: N.silu(x, beta=2.0), "nn.softmax axis": lambda x: N.softmax(x, axis=0), "nn.l2_normalize": lambda x: N.l2_normalize(x, axis=1),
        "nn.l2_normalize epsilon": lambda x: N.l2_normalize(x, axis=1, epsilon=0.5), "nn.dropout": lambda x: N.dropout(x, rate=0.0), "nn.bias_add": lambda x: N.bias_add(x, tf.constant([1.0, 2.0, 3.0, 4.0])),
        "nn.moments": lambda x: N.moments(x, axes=[1]), "nn.moments keepdims": lambda x: N.moments(x, axes=[1], keepdims=True)[1],
        "nn.normalize": lambda x: LA.normalize(x, axis=1)[0], "nn.sigmoid_cross_entropy_with_logits": lambda x: N.sigmoid_cross_entropy_with_logits(labels=x, logits=x * 2),
        "nn.softmax_cross_entropy_with_logits": lambda x: N.softmax_cross_entropy_with_logits(labels=tf.nn.softmax(x), logits=x), "nn.l2_loss": N.l2_loss,
        "nn.batch_normalization": lambda x: N.batch_normalization(x, 0.1, 1.5, 0.2, 0.9, 1e-3), "nn.embedding_lookup": lambda x: N.embedding_lookup(tf.ones((4, 2)), tf.cast(x + 1, "int32")),
        "identity": tf.identity, "stop_gradient": tf.stop_gradient, "zeros_like": tf.zeros_like, "ones_like": tf.ones_like, "size": lambda x: tf.size(x) + 0,
        "rank": lambda x: tf.rank(x) + 0, "shape": lambda x: tf.shape(x) + 0, "shape slice": lambda x: tf.reshape(x, (tf.shape(x)[0], 2, 2)),
        "shape batch": lambda x: tf.zeros((tf.shape(x)[0], 3)) + x[:, :3], "fill shape": lambda x: tf.fill(tf.shape(x), 0.5) + x,
        "cast": lambda x: tf.cast(x, "int32"), "cast dtype": lambda x: tf.cast(x * 3, tf.int32), "cast bool": lambda x: tf.cast(x > 0, tf.float32), "saturate_cast": lambda x: tf.saturate_cast(x * 100, tf.int32),
        "expand_dims": lambda x: tf.expand_dims(x, 1), "expand_dims last": lambda x: tf.expand_dims(x, axis=-1), "tile": lambda x: tf.tile(x, [1, 2]), "reshape": lambda x: tf.reshape(x, (-1, 2, 2)),
        "concat": lambda x: tf.concat([x, x * 2], axis=-1), "concat constant": lambda x: tf.concat([x, tf.ones((2, 1))], 1), "stack": lambda x: tf.stack([x, x], axis=1), "stack default": lambda x: tf.stack([x, x]),
        "unstack": lambda x: tf.unstack(x, axis=1), "split": lambda x: tf.split(x, 2, axis=1), "split sizes": lambda x: tf.split(x, [1, 3], axis=-1), "split rest": lambda x: tf.split(x, [1, -1], axis=1), "split one": lambda x: tf.split(x, 2, 1)[1],
        "squeeze": lambda x: tf.squeeze(tf.expand_dims(x, 1), 1), "transpose": lambda x: tf.transpose(x), "transpose perm": lambda x: tf.transpose(x, [1, 0]), "reverse": lambda x: tf.reverse(x, [1]), "roll": lambda x: tf.roll(x, 1, 1),
        "gather": lambda x: tf.gather(x, [3, 0], axis=1), "gather default": lambda x: tf.gather(x, [1]), "gather negative axis": lambda x: tf.gather(x, 2, axis=-1), "gather_nd": lambda x: tf.gather_nd(x, [[0, 1], [1, 2]]), "gather batch_dims": lambda x: tf.gather(x, tf.constant([[1], [2]]), batch_dims=1),
        "where": lambda x: tf.where(x > 0, x, 0.0), "where same": lambda x: tf.where(x > 0, x, -x), "clip_by_value": lambda x: tf.clip_by_value(x, -0.5, 0.5), "clip_by_norm": lambda x: tf.clip_by_norm(x, 0.5, axes=[1]), "one_hot": lambda x: tf.one_hot(tf.cast(x + 1, "int32"), 3),
        "one_hot values": lambda x: tf.one_hot(tf.cast(x + 1, "int32"), 3, on_value=2.0, off_value=-1.0), "one_hot axis": lambda x: tf.one_hot(tf.cast(x + 1, "int32"), 3, axis=1), "pad": lambda x: tf.pad(x, [[0, 0], [1, 2]]), "pad value": lambda x: tf.pad(x, [[0, 0], [1, 2]], constant_values=0.5),
        "pad reflect": lambda x: tf.pad(x, [[0, 0], [1, 2]], "REFLECT"), "pad symmetric": lambda x: tf.pad(x, [[0, 0], [1, 2]], mode="SYMMETRIC"), "repeat": lambda x: tf.repeat(x, 2, axis=1), "repeat flat": lambda x: tf.repeat(x, 2), "broadcast_to": lambda x: tf.broadcast_to(tf.expand_dims(x, 1), (2, 3, 4)),
        "sort": lambda x: tf.sort(x, axis=1), "sort descending": lambda x: tf.sort(x, axis=1, direction="DESCENDING"), "argsort": lambda x: tf.argsort(x, axis=1), "tensordot": lambda x: tf.tensordot(x, tf.ones((4, 3)), axes=1), "tensordot axes": lambda x: tf.tensordot(x, tf.ones((3, 4)), axes=[[1], [1]]),
        "einsum": lambda x: tf.einsum("bi,ij->bj", x, tf.ones((4, 2))), "einsum two": lambda x: tf.einsum("bi,bi->b", x, x), "meshgrid": lambda x: tf.meshgrid(x[0], x[1])[0], "linspace": lambda x: tf.linspace(0.0, 1.0, 4) + x, "eye": lambda x: x @ tf.eye(4), "range": lambda x: tf.range(4.0) + x,
        "map_fn": lambda x: tf.map_fn(lambda y: y * 2, x), "boolean_mask": lambda x: tf.boolean_mask(x, tf.constant([True, False, True, True]), axis=1), "norm": lambda x: tf.norm(x, axis=1), "norm keepdims": lambda x: tf.norm(x, axis=1, keepdims=True), "norm ord": lambda x: tf.norm(x, ord=1, axis=1),
        "linalg.norm": lambda x: LA.norm(x, axis=-1), "cosine by hand": lambda x: tf.reduce_sum(N.l2_normalize(x, -1) * N.l2_normalize(x * 2, -1), -1), "convert_to_tensor": lambda x: tf.convert_to_tensor(x) * 1.0, "bitcast_": None, "searchsorted": lambda x: tf.searchsorted([0.0, 0.5], tf.reshape(x, (-1,))), "sequence_mask": lambda x: tf.sequence_mask(tf.cast(x[:, 0] + 2, "int32"), 3),
        "numpy multiply": lambda x: x * draw(3, (4,)), "split and add": lambda x: tf.add(*tf.split(x, 2, 1)), "slice": lambda x: tf.slice(x, [0, 1], [-1, 2]), "strided_slice": lambda x: tf.strided_slice(x, [0, 1], [2, 4], [1, 2]), "cond_": None, "random": lambda x: x + 0 * tf.random.normal(tf.shape(x)),
        "x.shape method": lambda x: tf.reshape(x, (-1, x.shape[1] // 2, 2)), "ensure_shape": lambda x: tf.ensure_shape(x, (None, 4)), "fftless": lambda x: tf.signal.fft(tf.cast(x, tf.complex64)), "debugging": lambda x: tf.debugging.check_numerics(x, "m"), "grad_pass": lambda x: tf.grad_pass_through(tf.round)(x) if False else tf.round(x),
        "string": lambda x: tf.strings.as_string(x), "unique": lambda x: tf.unique(x[0])[0], "histogram": lambda x: tf.histogram_fixed_width(x, [-1.0, 1.0], 4), "segment": lambda x: M.segment_sum(x, tf.constant([0, 0])), "compat.v1": lambda x: tf.compat.v1.reduce_sum(x, axis=1, keep_dims=True),
    },
    "s": {
        **{f"math.{n}": (lambda x, n=n: getattr(M, n)(x, axis=1)) for n in (
            "reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_std", "reduce_variance", "reduce_logsumexp",
            "reduce_euclidean_norm", "argmax", "argmin", "count_nonzero",
        )},
        "reduce_mean all": lambda x: tf.reduce_mean(x), "reduce_sum keepdims": lambda x: tf.reduce_sum(x, 1, keepdims=True), "reduce_max axes": lambda x: tf.reduce_max(x, axis=[1, 2]), "reduce_any": lambda x: tf.reduce_any(x > 0, 1), "reduce_all": lambda x: tf.reduce_all(x > 0, axis=-1),
        "argmax default": lambda x: tf.argmax(x), "argmax output_type": lambda x: tf.argmax(x, -1, output_type=tf.int32), "argmin last": lambda x: tf.argmin(x, axis=-1),
        "matmul": lambda x: tf.matmul(x, x, transpose_b=True), "matmul transpose_a": lambda x: tf.matmul(x, x, transpose_a=True), "matmul adjoint_b": lambda x: LA.matmul(x, x, adjoint_b=True), "matmul constant": lambda x: tf.matmul(x, tf.ones((4, 2))), "x @ x.T": lambda x: x @ tf.transpose(x, [0, 2, 1]), "linalg.matvec": lambda x: LA.matvec(x, tf.ones((4,))),
        "linalg.matrix_transpose": LA.matrix_transpose, "linalg.diag_part": lambda x: LA.diag_part(x), "linalg.diag": lambda x: LA.diag(x), "linalg.band_part": lambda x: LA.band_part(x, 0, 1), "linalg.trace": lambda x: LA.trace(x), "linalg.norm": lambda x: LA.norm(x, axis=[1, 2]), "linalg.einsum": lambda x: LA.einsum("bij,bkj->bik", x, x), "linalg.global_norm": lambda x: LA.global_norm([x]),
        "pad reflect": lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0]], "REFLECT"), "pad symmetric": lambda x: tf.pad(x, [[1, 0], [2, 1], [0, 3]], "SYMMETRIC"), "x[..., tensor]": lambda x: x[..., tf.shape(x)[1] - 1],
        "x[:, ::-1, 1]": lambda x: x[:, ::-1, 1], "x[::-1, 2:0:-1, ::2]": lambda x: x[::-1, 2:0:-1, ::2], "x[..., None, ::-2]": lambda x: x[..., None, ::-2], "size": lambda x: tf.reshape(x, [tf.size(x)]), "flip of ...": lambda x: x[..., ::-1, 0:2],
        "x[:, 0]": lambda x: x[:, 0], "x[:, -1]": lambda x: x[:, -1], "x[:, 1:]": lambda x: x[:, 1:], "x[:, :-1]": lambda x: x[:, :-1], "x[:, ::2]": lambda x: x[:, ::2], "x[:, ::-1]": lambda x: x[:, ::-1], "x[..., 0]": lambda x: x[..., 0], "x[..., 1:3]": lambda x: x[..., 1:3], "x[:, tf.newaxis]": lambda x: x[:, tf.newaxis], "x[..., None]": lambda x: x[..., None],
        "x[0]": lambda x: x[0], "x[-1]": lambda x: x[-1], "x[0:1]": lambda x: x[0:1], "x[:, 0, 1]": lambda x: x[:, 0, 1], "x[:, 0:2, 1:3]": lambda x: x[:, 0:2, 1:3], "x[:, None, :, None]": lambda x: x[:, None, :, None], "x[:, -2:, ...]": lambda x: x[:, -2:, ...], "x[tensor]": lambda x: x[:, tf.shape(x)[1] - 1], "x[:, a:b]": lambda x: x[:, tf.constant(1) : tf.constant(3)],
        "x[mask]": lambda x: x[x > 0], "x[:, 2::-1]": lambda x: x[:, 2::-1], "x[:, -1:]": lambda x: x[:, -1:], "x[:, 0][:, 1]": lambda x: x[:, 0][:, 1],
        "reverse_sequence": lambda x: tf.reverse_sequence(x, [2, 3], seq_axis=1), "transpose": lambda x: tf.transpose(x, perm=[0, 2, 1]), "unstack": lambda x: tf.unstack(x, axis=1)[0], "reverse two": lambda x: tf.reverse(x, axis=[1, 2]), "concat rows": lambda x: tf.concat([x, x], 1), "gather axis 1": lambda x: tf.gather(x, [0, 2], axis=1), "nn.conv1d": lambda x: N.conv1d(x, tf.ones((2, 4, 2)), 1, "SAME"), "nn.top_k": lambda x: N.top_k(x, 2)[0],
        "nn.softmax axis 1": lambda x: N.softmax(x, axis=1), "cumsum axis": lambda x: tf.cumsum(x, axis=1), "scan_": None, "roll two": lambda x: tf.roll(x, [1, 2], [1, 2]), "squeeze all": lambda x: tf.squeeze(x[:, 0:1]), "space": lambda x: tf.transpose(tf.reshape(x, (-1, 3, 2, 2)), (0, 3, 1, 2)), "nn.avg_pool1d": lambda x: N.avg_pool1d(x, 2, 1, "VALID"), "nn.max_pool1d": lambda x: N.max_pool1d(x, 2, 1, "SAME"),
        "tile three": lambda x: tf.tile(x, (1, 2, 1)), "image.resize no": None, "einsum attention": lambda x: tf.einsum("bqd,bkd->bqk", x, x), "softmax of matmul": lambda x: N.softmax(tf.matmul(x, x, transpose_b=True) / 2.0),
    },
    "m": {
        "image.resize": lambda x: IM.resize(x, (6, 4)), "image.resize nearest": lambda x: IM.resize(x, (8, 10), method="nearest"), "image.resize bicubic": lambda x: IM.resize(x, [6, 4], method=IM.ResizeMethod.BICUBIC), "image.resize area": lambda x: IM.resize(x, [2, 2], "area"), "image.resize antialias": lambda x: IM.resize(x, [2, 2], antialias=True),
        "image.resize v1": lambda x: tf.compat.v1.image.resize_bilinear(x, (6, 4)), "image.resize v1 corners": lambda x: tf.compat.v1.image.resize_bilinear(x, (6, 4), align_corners=True), "image.resize v1 nearest": lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, (8, 10)), "image.flip_left_right": lambda x: IM.flip_left_right(x), "image.flip_up_down": IM.flip_up_down, "image.rot90": lambda x: IM.rot90(x), "image.transpose": IM.transpose, "image.adjust_brightness": lambda x: IM.adjust_brightness(x, 0.1),
        "image.adjust_contrast": lambda x: IM.adjust_contrast(x, 2.0), "image.central_crop": lambda x: IM.central_crop(x, 0.5), "image.crop_to_bounding_box": lambda x: IM.crop_to_bounding_box(x, 1, 1, 2, 3), "image.pad_to_bounding_box": lambda x: IM.pad_to_bounding_box(x, 1, 1, 8, 9), "image.resize_with_pad": lambda x: IM.resize_with_pad(x, 6, 6), "image.per_image_standardization": IM.per_image_standardization, "image.rgb_to_grayscale": lambda x: IM.rgb_to_grayscale(tf.concat([x, x[..., :1]], -1)), "image.grayscale_to_rgb": lambda x: IM.grayscale_to_rgb(x[..., :1]),
        "image.extract_patches": lambda x: IM.extract_patches(x, [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID"), "image.sobel_edges": IM.sobel_edges, "nn.depth_to_space": lambda x: N.depth_to_space(tf.concat([x, x], -1), 2), "nn.space_to_depth": lambda x: N.space_to_depth(x[:, :, :4], 2), "depth_to_space": lambda x: tf.nn.depth_to_space(tf.concat([x, x], -1), block_size=2),
        "nn.max_pool": lambda x: N.max_pool(x, 2, 2, "VALID"), "nn.max_pool2d": lambda x: N.max_pool2d(x, (2, 1), (1, 2), "SAME"), "nn.avg_pool": lambda x: N.avg_pool(x, 2, 2, "SAME"), "nn.avg_pool2d": lambda x: N.avg_pool2d(x, [1, 2, 2, 1], [1, 1, 1, 1], "VALID"), "nn.conv2d": lambda x: N.conv2d(x, tf.ones((2, 2, 2, 3)), 1, "SAME"), "nn.conv2d strides": lambda x: N.conv2d(x, tf.ones((2, 2, 2, 3)), [1, 2, 1, 1], "VALID"), "nn.depthwise_conv2d": lambda x: N.depthwise_conv2d(x, tf.ones((2, 2, 2, 1)), [1, 1, 1, 1], "SAME"),
        "nn.conv2d_transpose": lambda x: N.conv2d_transpose(x, tf.ones((2, 2, 3, 2)), (2, 8, 10, 3), 2), "pad": lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), "nn.bias_add": lambda x: N.bias_add(x, tf.constant([1.0, 2.0])), "channels": lambda x: x[..., ::-1], "crop": lambda x: x[:, 1:-1, 1:-1, :], "reduce_mean axes": lambda x: tf.reduce_mean(x, [1, 2], keepdims=True), "nn.local_response_normalization": N.local_response_normalization, "nn.lrn": lambda x: N.lrn(x, 1, 1.0, 0.1, 0.75),
        "nn.moments": lambda x: N.moments(x, [1, 2]), "nn.fused": lambda x: tf.compat.v1.nn.fused_batch_norm(x, [1.0, 2.0], [0.0, 1.0], [0.1, 0.2], [1.0, 2.0], is_training=False)[0], "preprocess caffe": lambda x: keras.applications.resnet50.preprocess_input(tf.concat([x, x[..., :1]], -1)), "preprocess tf": lambda x: keras.applications.mobilenet_v2.preprocess_input(x), "preprocess torch": lambda x: keras.applications.densenet.preprocess_input(tf.concat([x, x[..., :1]], -1)),
        "transpose": lambda x: tf.transpose(x, [0, 3, 1, 2]), "space_to_batch": lambda x: tf.space_to_batch(x, [2, 2], [[0, 0], [0, 1]]), "image.ssim": lambda x: IM.ssim(x, x, 1.0, filter_size=3), "image.total_variation": IM.total_variation, "image.resize tensor": lambda x: IM.resize(x, tf.shape(x)[1:3] * 2), "nn.atrous": lambda x: N.atrous_conv2d(x, tf.ones((2, 2, 2, 3)), 2, "SAME"), "nn.pool": lambda x: N.pool(x, [2, 2], "MAX"), "nn.separable": lambda x: N.separable_conv2d(x, tf.ones((2, 2, 2, 1)), tf.ones((1, 1, 2, 3)), [1, 1, 1, 1], "SAME"),
        "channel shuffle": lambda x: tf.reshape(tf.transpose(tf.reshape(x, (-1, 4, 5, 2, 1)), (0, 1, 2, 4, 3)), (-1, 4, 5, 2)),
    },
    "i": {
        "x + 1": lambda x: x + 1, "x * 2": lambda x: x * 2, "x // 2": lambda x: x // 2, "x % 2": lambda x: x % 2, "x / 2": lambda x: x / 2, "x == 1": lambda x: tf.equal(x, 1), "cast": lambda x: tf.cast(x, tf.float32), "one_hot": lambda x: tf.one_hot(x, 4), "one_hot dtype": lambda x: tf.one_hot(x, 4, dtype=tf.int32), "gather": lambda x: tf.gather(tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), x),
        "not_equal": lambda x: tf.not_equal(x, 0), "bitwise": lambda x: tf.bitwise.bitwise_and(x, 1), "bincount": lambda x: M.bincount(x, minlength=4), "maximum": lambda x: tf.maximum(x, 1), "embedding_lookup": lambda x: N.embedding_lookup(tf.ones((4, 2)), x), "embedding_lookup list": lambda x: N.embedding_lookup([tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])], x), "sequence_mask": lambda x: tf.sequence_mask(x, 3), "reduce_sum": lambda x: tf.reduce_sum(x, 1), "x ** 2": lambda x: x**2, "to_float": lambda x: tf.cast(x, "float32") / 255.0, "clip": lambda x: tf.clip_by_value(x, 1, 2), "sign": lambda x: tf.sign(x), "floordiv": lambda x: tf.math.floordiv(x, 2), "x < 2": lambda x: x < 2,
    },
    "b": {
        "~x": lambda x: ~x, "logical_not": tf.logical_not, "logical_and": lambda x: tf.logical_and(x, x), "logical_or": lambda x: tf.logical_or(x, ~x), "logical_xor": lambda x: M.logical_xor(x, True), "x & x": lambda x: x & x, "x | x": lambda x: x | x, "x ^ x": lambda x: x ^ True, "cast": lambda x: tf.cast(x, "float32"), "where": lambda x: tf.where(x, 1.0, 0.0), "reduce_any": lambda x: tf.reduce_any(x, 1), "reduce_all": lambda x: tf.reduce_all(x, 1, keepdims=True), "where constants": lambda x: tf.where(x, [1.0, 2.0, 3.0, 4.0], 0.5),
    },
    "q": {
        "x + column": lambda x: x + tf.constant([[1.0], [2.0], [3.0]]), "column + x": lambda x: tf.constant([[1.0], [2.0], [3.0]]) + x, "x - column": lambda x: x - tf.constant([[1.0], [2.0], [3.0]]), "add column of x": lambda x: tf.add(x, x[:, :, :1]), "math.add_n column": lambda x: M.add(x[:, :, :1], tf.constant([1.0, 2.0, 3.0])),
        "linalg.inv": lambda x: LA.inv(x + 3 * tf.eye(3)), "linalg.det": LA.det, "linalg.cholesky": lambda x: LA.cholesky(tf.matmul(x, x, transpose_b=True) + tf.eye(3)), "linalg.solve": lambda x: LA.solve(x + 3 * tf.eye(3), x), "linalg.svd": lambda x: LA.svd(x, compute_uv=False), "linalg.eigh": lambda x: LA.eigvalsh(x + tf.transpose(x, [0, 2, 1])), "linalg.qr": lambda x: LA.qr(x)[1], "linalg.triangular_solve": lambda x: LA.triangular_solve(x + 3 * tf.eye(3), x), "linalg.set_diag": lambda x: LA.set_diag(x, tf.ones((2, 3))), "linalg.logdet": lambda x: LA.logdet(tf.matmul(x, x, transpose_b=True) + tf.eye(3)), "linalg.adjoint": LA.adjoint, "linalg.cross": lambda x: LA.cross(x, x * 2 + 1), "linalg.expm": LA.expm,
    },
}  # fmt: skip

# Functions of keras.backend, which serialise as what they call.
BACKEND = {
    "v": {
        "abs": K.abs, "sqrt": lambda x: K.sqrt(x + 2), "square": K.square, "exp": K.exp, "log": lambda x: K.log(x + 2), "sum": lambda x: K.sum(x, axis=1), "mean": lambda x: K.mean(x, axis=-1, keepdims=True), "max": lambda x: K.max(x, 1), "min": lambda x: K.min(x, 1), "prod": lambda x: K.prod(x, 1), "std": lambda x: K.std(x, 1), "var": lambda x: K.var(x, 1), "argmax": lambda x: K.argmax(x, 1), "argmin": lambda x: K.argmin(x), "pow": lambda x: K.pow(x, 2), "clip": lambda x: K.clip(x, -0.5, 0.5), "round": K.round, "sign": K.sign, "sin": K.sin, "cos": K.cos,
        "sigmoid": K.sigmoid, "hard_sigmoid": K.hard_sigmoid, "tanh": K.tanh, "relu": K.relu, "relu alpha": lambda x: K.relu(x, alpha=0.1), "relu max": lambda x: K.relu(x, max_value=0.5), "relu threshold": lambda x: K.relu(x, threshold=0.25), "elu": lambda x: K.elu(x, 0.5), "softmax": K.softmax, "softplus": K.softplus, "softsign": K.softsign, "maximum": lambda x: K.maximum(x, 0.1), "minimum": lambda x: K.minimum(x, 0.1), "equal": lambda x: K.equal(x, 0.5), "not_equal": lambda x: K.not_equal(x, 0.5), "greater": lambda x: K.greater(x, 0.0), "less": lambda x: K.less(x, 0.0),
        "concatenate": lambda x: K.concatenate([x, x]), "stack": lambda x: K.stack([x, x], 1), "reshape": lambda x: K.reshape(x, (-1, 2, 2)), "expand_dims": lambda x: K.expand_dims(x), "squeeze": lambda x: K.squeeze(K.expand_dims(x, 1), 1), "permute": lambda x: K.permute_dimensions(x, (1, 0)), "repeat": lambda x: K.repeat(x, 3), "repeat_elements": lambda x: K.repeat_elements(x, 2, 1), "tile": lambda x: K.tile(x, (1, 2)), "flatten": K.flatten, "batch_flatten": lambda x: K.batch_flatten(K.reshape(x, (-1, 2, 2))), "cast": lambda x: K.cast(x, "int32"), "l2_normalize": lambda x: K.l2_normalize(x, 1), "dot": lambda x: K.dot(x, K.constant([[1.0], [2.0], [3.0], [4.0]])), "batch_dot": lambda x: K.batch_dot(x, x, axes=1),
        "transpose": K.transpose, "gather": lambda x: K.gather(x, [1, 0]), "one_hot": lambda x: K.one_hot(K.cast(x + 1, "int32"), 3), "reverse": lambda x: K.reverse(x, 1), "cumsum": lambda x: K.cumsum(x, 1), "cumprod": lambda x: K.cumprod(x, 1), "logsumexp": lambda x: tf.reduce_logsumexp(x, 1), "switch": lambda x: K.switch(x > 0, x, -x), "epsilon": lambda x: x / (K.sum(x * x, -1, keepdims=True) + K.epsilon()), "zeros_like": K.zeros_like, "ones_like": K.ones_like, "any": lambda x: K.any(x > 0, 1), "all": lambda x: K.all(x > 0, 1), "int_shape": lambda x: K.reshape(x, (-1, K.int_shape(x)[1], 1)), "shape": lambda x: K.reshape(x, (K.shape(x)[0], 4, 1)), "bias_add": lambda x: K.bias_add(x, K.constant([1.0, 2.0, 3.0, 4.0])), "in_train_phase": lambda x: K.in_train_phase(x, x * 2), "dropout": lambda x: K.dropout(x, 0.0), "binary_crossentropy": lambda x: K.binary_crossentropy(K.sigmoid(x), K.sigmoid(x)), "categorical_crossentropy": lambda x: K.categorical_crossentropy(K.softmax(x), K.softmax(x)), "stop_gradient": K.stop_gradient, "identity": lambda x: K.identity(x), "slice": lambda x: K.slice(x, [0, 1], [2, 2]), "learning_phase": lambda x: x * K.cast(K.learning_phase(), "float32") if not callable(K.learning_phase()) else x, "cos similarity": lambda x: K.sum(K.l2_normalize(x, axis=-1) * K.l2_normalize(x, axis=-1), axis=-1),
    },
    "s": {"batch_dot": lambda x: K.batch_dot(x, x, axes=[2, 2]), "permute": lambda x: K.permute_dimensions(x, (0, 2, 1)), "dot": lambda x: K.dot(x, K.constant([[1.0], [2.0], [3.0], [4.0]])), "temporal_padding": lambda x: K.temporal_padding(x), "repeat_elements": lambda x: K.repeat_elements(x, 3, axis=1), "any": lambda x: K.any(K.not_equal(x, 0.0), axis=-1)},
    "m": {"resize_images": lambda x: K.resize_images(x, 2, 2, "channels_last"), "resize_images bilinear": lambda x: K.resize_images(x, 2, 2, "channels_last", interpolation="bilinear"), "spatial_2d_padding": lambda x: K.spatial_2d_padding(x), "pool2d": lambda x: K.pool2d(x, (2, 2)), "conv2d": lambda x: K.conv2d(x, tf.ones((2, 2, 2, 3))), "depthwise_conv2d": lambda x: K.depthwise_conv2d(x, tf.ones((2, 2, 2, 1))), "batch_normalization": lambda x: K.batch_normalization(x, 0.1, 1.5, 0.2, 0.9)},
}  # fmt: skip


def make(maker):
    for title, table in (("tf", FUNCTIONS), ("K", BACKEND)):
        for kind, rows in table.items():
            for name, apply in rows.items():
                if apply is None:
                    continue

                def build(apply=apply, kind=kind):
                    shape = SHAPES[kind]
                    dtype = {"i": "int32", "b": "bool"}.get(kind, "float32")
                    # Some functions look at the batch.
                    x = keras.Input(shape, dtype=dtype, batch_size=2)
                    data = draw(0, (2, *shape), kind if kind in "ib" else "f")
                    return keras.Model(x, apply(x)), [data]

                maker.add(f"{title} {kind} {name}", build)
