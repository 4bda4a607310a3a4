"""Writes the corpus of safetensors.  Needs safetensors, NumPy and torch."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from safetensors import numpy as st_numpy
from safetensors import torch as st_torch
from writing import case, fresh

values = np.random.default_rng(6).normal(size=(3, 4)) * 50

plain = fresh(__file__, "plain")
types = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8", "?")
arrays = {dtype.replace("?", "bool"): values.astype(dtype) for dtype in types}
arrays |= {"größe": np.arange(7), "empty": np.zeros((0, 3), "f4"), "scalar": np.array(2.5, "f4")}
st_numpy.save_file(arrays, plain / "model.safetensors", {"format": "np", "größe": "三"})
case(plain, "Every element type; a scalar, an empty array, metadata.", "model.safetensors", arrays,
     by=("safetensors", "numpy"), layout="flat", metadata={"format": "np", "größe": "三"})  # fmt: skip

small = fresh(__file__, "short_floats")
tensors = {
    "bf16": torch.tensor(values).to(torch.bfloat16),
    "e4m3": torch.tensor(values).to(torch.float8_e4m3fn),
    "e5m2": torch.tensor(values).to(torch.float8_e5m2),
}
st_torch.save_file(tensors, small / "weights.h5")
TYPES = {"bf16": "bfloat16", "e4m3": "float8_e4m3fn", "e5m2": "float8_e5m2"}
arrays = {name: tensor.view(torch.uint8).numpy().view(f"V{tensor.itemsize}") for name, tensor in tensors.items()}
case(small, "bfloat16 and both float8; the suffix lies.", "weights.h5", arrays, by=("safetensors", "torch"),
     dtypes=TYPES, layout="flat", metadata={})  # fmt: skip
