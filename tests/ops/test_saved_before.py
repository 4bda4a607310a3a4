"""What earlier versions of kio saved must be read: the names in files stay, wherever the code goes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kio.layers  # noqa: E402
from kio.ops import FUNCTIONS  # noqa: E402

pytestmark = pytest.mark.keras

# As Keras saves a model that holds the layer, and as kio converts an old one.
MODULES = ("kio.layers.tf_function", "kio.layers")


def saved(module: str, function: str, kwargs: dict[str, Any], shape: list[Any]) -> str:
    tensor = {"class_name": "__keras_tensor__",
              "config": {"shape": shape, "dtype": "float32", "keras_history": ["x", 0, 0]}}  # fmt: skip
    rows = [
        {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None, "name": "x",
         "config": {"batch_shape": shape, "dtype": "float32", "sparse": False, "name": "x"}, "inbound_nodes": []},
        {"module": module, "class_name": "TFFunction", "registered_name": "kio>TFFunction", "name": "f",
         "config": {"function": function, "name": "f"}, "inbound_nodes": [{"args": [tensor], "kwargs": kwargs}]},
    ]  # fmt: skip
    inner = {"name": "m", "trainable": True, "layers": rows, "input_layers": ["x", 0, 0], "output_layers": ["f", 0, 0]}
    return json.dumps({"module": "keras", "class_name": "Model", "config": inner,
                       "registered_name": None, "build_config": {"input_shape": None}})  # fmt: skip


# The numpy backend finds shapes on memory that holds anything.
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("function", "kwargs", "row", "expected"),
    [
        ("math.squared_difference", {"y": [1.0, 2.0, 3.0, 4.0]}, [1, 0, 3, 6], [0, 4, 0, 4]),
        ("math.cumsum", {"axis": 1, "exclusive": True, "reverse": True}, [1, 2, 3, 4], [9, 7, 4, 0]),
        ("compat.v1.gather", {"indices": [2, 0], "axis": 1}, [1, 2, 3, 4], [3, 1]),
        ("__operators__.getitem", {"slice_spec": ["...", {"start": None, "stop": None, "step": -2}]},
         [1, 2, 3, 4], [4, 2]),
        ("pad", {"paddings": [[0, 0], [1, 2]], "mode": "REFLECT"}, [1, 2, 3, 4], [2, 1, 2, 3, 4, 3, 2]),
    ],
)  # fmt: skip
def test_a_function_of_tensorflow(
    module: str, function: str, kwargs: dict[str, Any], row: list[float], expected: list[float]
) -> None:
    model = keras.models.model_from_json(saved(module, function, kwargs, [None, 4]))
    assert type(model.operations[-1]) is kio.layers.TFFunction
    found = model(np.array([row], "float32"))
    assert keras.ops.convert_to_numpy(found).tolist() == [expected]


def test_the_layer_is_saved_under_the_names_that_it_had() -> None:
    made = keras.saving.serialize_keras_object(kio.layers.TFFunction("identity", name="f"))
    assert (made["module"], made["class_name"]) == ("kio.layers.tf_function", "TFFunction")
    assert made["registered_name"] == "kio>TFFunction"
    assert made["config"] == {"function": "identity", "name": "f"}


# All names that a file of an earlier kio can hold.
NAMES = """
__operators__.add __operators__.getitem add add_n argsort batch_to_space batch_to_space_nd bitwise.bitwise_and
bitwise.bitwise_or bitwise.bitwise_xor broadcast_to clip_by_norm compat.v1.batch_to_space_nd compat.v1.depth_to_space
compat.v1.div_no_nan compat.v1.floor_div compat.v1.gather compat.v1.gather_nd compat.v1.imag compat.v1.image.resize
compat.v1.image.resize_bilinear compat.v1.image.resize_nearest_neighbor compat.v1.math.in_top_k
compat.v1.math.scalar_mul compat.v1.nn.avg_pool compat.v1.nn.conv1d compat.v1.nn.conv2d compat.v1.nn.conv2d_transpose
compat.v1.nn.conv3d compat.v1.nn.convolution compat.v1.nn.crelu compat.v1.nn.depthwise_conv2d
compat.v1.nn.embedding_lookup compat.v1.nn.fused_batch_norm compat.v1.nn.max_pool compat.v1.nn.moments
compat.v1.nn.pool compat.v1.nn.separable_conv2d compat.v1.nn.sigmoid_cross_entropy_with_logits
compat.v1.nn.softmax_cross_entropy_with_logits_v2 compat.v1.norm compat.v1.pad compat.v1.shape compat.v1.size
compat.v1.space_to_batch_nd compat.v1.space_to_depth compat.v1.squared_difference concat convert_to_tensor
debugging.check_numerics depth_to_space dtypes.saturate_cast ensure_shape fill floor_div gather gather_nd
grad_pass_through identity image.adjust_brightness image.adjust_contrast image.central_crop image.crop_to_bounding_box
image.extract_patches image.flip_left_right image.flip_up_down image.grayscale_to_rgb image.pad_to_bounding_box
image.per_image_standardization image.resize image.rgb_to_grayscale image.rot90 image.transpose
keras.backend.batch_flatten keras.backend.binary_crossentropy keras.backend.categorical_crossentropy linalg.adjoint
linalg.band_part linalg.cross linalg.diag linalg.diag_part linalg.global_norm linalg.inv linalg.l2_normalize
linalg.matmul linalg.matrix_transpose linalg.matvec linalg.norm linalg.normalize linalg.set_diag linalg.trace
linalg.triangular_solve math.accumulate_n math.add math.add_n math.atan2 math.bincount math.count_nonzero math.cumprod
math.cumsum math.divide_no_nan math.erfc math.imag math.in_top_k math.l2_normalize math.logical_xor
math.multiply_no_nan math.ndtri math.polyval math.reciprocal_no_nan math.reduce_euclidean_norm math.scalar_mul
math.segment_sum math.squared_difference math.top_k math.unsorted_segment_sum math.xdivy math.xlog1py math.xlogy
math.zero_fraction matmul nn.avg_pool nn.avg_pool1d nn.avg_pool2d nn.avg_pool3d nn.conv1d nn.conv2d
nn.conv2d_transpose nn.conv3d nn.convolution nn.crelu nn.depth_to_space nn.depthwise_conv2d nn.dropout
nn.embedding_lookup nn.l2_loss nn.l2_normalize nn.local_response_normalization nn.lrn nn.max_pool nn.max_pool1d
nn.max_pool2d nn.max_pool3d nn.moments nn.pool nn.separable_conv2d nn.sigmoid_cross_entropy_with_logits nn.silu
nn.softmax_cross_entropy_with_logits nn.space_to_depth nn.swish norm one_hot ones ones_like pad range rank reshape
saturate_cast sequence_mask shape size slice sort space_to_batch_nd space_to_depth split stack strided_slice tensordot
tile zeros zeros_like
"""


def test_no_name_of_a_function_is_lost() -> None:
    names = NAMES.split()
    assert len(names) == 174
    assert [name for name in names if name not in FUNCTIONS or not FUNCTIONS[name].own] == []
