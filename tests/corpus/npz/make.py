"""Writes the corpus of npz.  Needs NumPy and ml_dtypes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import ml_dtypes
import numpy as np
from writing import case, fresh

random = np.random.default_rng(5)
values = random.normal(size=(3, 4)) * 50
TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8", "c16", "?")
arrays = {dtype.replace("?", "bool"): values.astype(dtype) for dtype in TYPES}

plain = fresh(__file__, "plain")
arrays |= {"scalar": np.float32(2.5), "empty": np.zeros((0, 3)), "group/größe": np.arange(7), "one": np.ones((1, 1, 1))}
np.savez(plain / "arrays.npz", **arrays)
case(plain, "Every element type; a scalar, an empty array, odd names.", "arrays.npz", arrays, layout="flat")

deflated = fresh(__file__, "deflated")
with (deflated / "arrays.bin").open("wb") as file:
    np.savez_compressed(file, **arrays)
case(deflated, "savez_compressed; odd suffix.", "arrays.bin", arrays, layout="flat")

big = fresh(__file__, "big_endian")
arrays = {dtype: values.astype(">" + dtype) for dtype in TYPES if dtype not in ("i1", "u1", "?")}
np.savez(big / "arrays.npz", **arrays)
case(big, "Big-endian elements.", "arrays.npz", arrays, layout="flat")

raw = fresh(__file__, "raw")
arrays = {"bf16": values.astype(ml_dtypes.bfloat16), "f8": values.astype(ml_dtypes.float8_e4m3fn)}
np.savez(raw / "arrays.npz", **arrays)
case(raw, "bfloat16 and float8, which NumPy stores as raw bytes.", "arrays.npz",
     {name: array.view(f"V{array.itemsize}") for name, array in arrays.items()}, by=("numpy", "ml_dtypes"),
     layout="flat")  # fmt: skip

some = fresh(__file__, "some_unreadable")
arrays = {"good": values, "vector": np.asfortranarray(np.arange(3.0).reshape(1, 3)),
          "text": np.array(["a", "bc"])}  # fmt: skip
np.savez(some / "arrays.npz", **arrays, objects=np.array([{}, None], dtype=object),
         records=np.zeros(2, "i4,f4"), fortran=np.asfortranarray(values), date=np.array(["2024-01-01"], "M8[D]"))  # fmt: skip
case(some, "Arrays kio does not read beside some that it does.", "arrays.npz", arrays, layout="flat",
     dtypes={"text": "U2"}, problems={"objects": "pickled", "records": "records", "fortran": "fortran_order",
               "date": "expected a number"})  # fmt: skip

none = fresh(__file__, "only_objects")
np.savez(none / "arrays.npz", a=np.array([{}, None], dtype=object))
case(none, "Nothing but pickled objects.", "arrays.npz", error="UnsupportedError", says="pickled Python objects")
