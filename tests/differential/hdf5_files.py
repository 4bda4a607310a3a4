"""Random HDF5 files, written by h5py from the choices of a ``random.Random``."""

from __future__ import annotations

from random import Random
from typing import Any

import h5py
import numpy as np

from .hdf5_oracle import Growing

DTYPES = ["?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]
DTYPES += [">f4", ">i8", ">u2", "<c8", ">c16", "V1", "V2"]
# Listed with a problem, never read.
ODD_DTYPES: list[Any] = ["S7", "V5", np.dtype([("a", "i4"), ("b", "f8")]), h5py.string_dtype()]
ODD_DTYPES += [h5py.vlen_dtype(np.dtype("i4")), np.dtype(("f4", (3,))), h5py.enum_dtype({"A": 1, "B": 5})]
ODD_DTYPES += [h5py.ref_dtype]
LIBVERS: list[Any] = [None, None, None, "v108", "v110", "latest"]


def name_from(r: Random) -> str:
    stem = r.choice(["k", "layer_", "dense", "é", "a b", "x" * r.randint(1, 200), "layer:0", "日本"])
    return stem + str(r.randint(0, 500))


def settings_from(r: Random) -> dict[str, Any]:
    kw: dict[str, Any] = {"libver": r.choice(LIBVERS), "track_order": r.choice([None, None, True])}
    if r.random() < 0.2:
        kw["userblock_size"] = r.choice([512, 1024, 4096])
    elif r.random() < 0.2:
        kw.update(alignment_threshold=r.choice([1, 512]), alignment_interval=r.choice([64, 4096]))
    if r.random() < 0.1 and "userblock_size" not in kw:
        kw["fs_strategy"] = r.choice(["page", "fsm", "aggregate", "none"])
    if r.random() < 0.1:
        kw["meta_block_size"] = r.choice([0, 512, 65536])
    return kw


def array_from(r: Random, dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    n = int(np.prod(shape, dtype=int))
    itemsize = np.dtype(dtype).itemsize
    raw = r.randbytes(n * itemsize) if r.random() < 0.7 else bytes(n * itemsize)
    array = np.frombuffer(raw, "u1")
    return (array % 2).astype("?").reshape(shape) if dtype == "?" else array.view(dtype).reshape(shape)


def layout_from(r: Random, shape: tuple[int, ...]) -> dict[str, Any]:
    """Chunks, maxima and filters; nothing for a contiguous dataset."""
    # h5py wants chunks no larger than a dimension that is not unlimited.
    if not shape or 0 in shape or r.random() < 0.5:
        return {}
    kw: dict[str, Any] = {"chunks": tuple(r.randint(1, n) for n in shape)}
    kind = r.randint(0, 3)
    if kind:
        free = {r.randrange(len(shape))} if kind == 1 else set(range(len(shape))) if kind == 2 else set()
        kw["maxshape"] = tuple(None if d in free else n + r.choice([0, 0, 1, 7]) for d, n in enumerate(shape))
        kw["chunks"] = tuple(
            c + r.choice([0, 2]) if m is None else c for c, m in zip(kw["chunks"], kw["maxshape"], strict=True)
        )
    if r.random() < 0.6:
        kw["compression"] = r.choice([None, "gzip", "lzf"])
        kw["shuffle"] = r.choice([None, True])
        kw["fletcher32"] = r.choice([None, True])
    return kw


def partial_from(r: Random, dataset: h5py.Dataset, array: np.ndarray[Any, Any]) -> None:
    """Write some of the chunks, some with filters masked."""
    if dataset.chunks is None or not array.size:
        dataset[...] = array
    elif r.random() < 0.5:
        box = tuple(slice(0, r.randint(1, n)) for n in array.shape)
        dataset[box] = array[box]
    else:
        chunk = array_from(r, array.dtype.str, dataset.chunks).tobytes()
        filters = dataset.id.get_create_plist().get_nfilters()
        for start in np.ndindex(*[-(-n // c) for n, c in zip(array.shape, dataset.chunks, strict=True)]):
            at = tuple(s * c for s, c in zip(start, dataset.chunks, strict=True))
            if r.random() < 0.7:
                # Only ever a whole chunk: libhdf5 1.14 may crash on rewriting a part of a masked one.
                dataset.id.write_direct_chunk(at, chunk, filter_mask=(1 << filters) - 1)


def dataset_from(r: Random, group: h5py.Group, name: str) -> h5py.Dataset:
    shape = tuple(r.randint(0, 5) for _ in range(r.randint(0, 4)))
    if r.random() < 0.05:
        return group.create_dataset(name, shape or (2,), dtype=r.choice(ODD_DTYPES))
    if r.random() < 0.05:
        return group.create_dataset(name, data=h5py.Empty("f4"))
    if r.random() < 0.05:
        return group.create_dataset(name, shape, dtype="f4", external=[("nowhere.bin", 0, 4096)])
    dtype = r.choice(DTYPES)
    array = array_from(r, dtype, shape)
    kw = layout_from(r, shape)
    if not kw and r.random() < 0.1:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
        kind = h5py.h5t.py_create(array.dtype, logical=True)
        dataset = h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, plist))
        dataset[...] = array
        return dataset
    if r.random() < 0.15 and kw:
        dataset = group.create_dataset(name, shape, dtype=dtype, **kw)
        if r.random() < 0.8:
            partial_from(r, dataset, array)
        return dataset
    if r.random() < 0.05:
        return group.create_dataset(name, shape, dtype=dtype, **kw)
    dataset = group.create_dataset(name, data=array, **kw)
    if "maxshape" in kw and r.random() < 0.3:
        dataset.resize(
            tuple(r.randint(0, n if m is not None else n + 9) for n, m in zip(shape, kw["maxshape"], strict=True))
        )
    return dataset


def attribute_from(r: Random) -> Any:
    return r.choice([
        "s" * r.randint(0, 50), b"b" * r.randint(0, 3000), [b"a", b"bb", b""], ["é", "b"],
        np.arange(r.randint(0, 9)), 3.5, True, np.array([b"ab", b"c"]), np.float32([[1, 2], [3, 4]]),
        np.array(7, ">i4"), np.arange(3, dtype=">f8"), np.bool_([True, False]), 1j,
        np.bytes_(b"fixed"), h5py.Empty("f4"), np.array([], "f8"), [],
    ])  # fmt: skip


def edit(r: Random, groups: list[h5py.Group]) -> None:
    """Remove and alias things, so that free space and odd orders come about.

    Nothing is renamed: libhdf5 1.14.6 crashes on some of these moves.
    """
    for group in groups:
        for key in list(group):
            what = r.random()
            if what < 0.12:
                del group[key]
            elif what < 0.2 and isinstance(group.get(key, getlink=True), h5py.HardLink):
                group[key + "-alias"] = group[key]


def make(r: Random, objects: int = 120, **settings: Any) -> bytes:
    """One random file."""
    out = Growing()
    with h5py.File(out, "w", **(settings_from(r) | settings)) as file:
        groups: list[h5py.Group] = [file["/"]]
        for _ in range(r.randint(0, objects)):
            group = r.choice(groups)
            name = name_from(r)
            if name in group:
                continue
            if r.random() < 0.3:
                groups.append(group.create_group(name, track_order=r.choice([None, True])))
            else:
                dataset = dataset_from(r, group, name)
                if r.random() < 0.2:
                    dataset.attrs["dtype"] = "bfloat16"
        for group in r.sample(groups, min(len(groups), 4)):
            for _ in range(r.randint(0, 20)):
                group.attrs[name_from(r)] = attribute_from(r)
            if r.random() < 0.1 and settings.get("libver", file.libver[0]) != "earliest":
                group.attrs["huge"] = np.arange(20000.0)
            if r.random() < 0.2:
                group["soft"] = h5py.SoftLink("/nowhere")
                group["external"] = h5py.ExternalLink("nowhere.h5", "/x")
            if r.random() < 0.1:
                group["type"] = np.dtype("f8")
        edit(r, [g for g in groups if g])
        groups = [g for g in groups if g]
        if len(groups) > 1:
            groups[-1]["back"] = file["/"]
    return out.getvalue()
