"""Checkpoints and trees made by hand, without any file or framework."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from kio import dtypes
from kio.mapping.tree import Container, Leaf, Node, Tree
from kio.raw.source import Source
from kio.raw.tensor import Extent, Tensor


class Variable:
    """Stands for a live variable."""

    def __init__(self, path: str, shape: tuple[int, ...] = (2, 2), dtype: str = "float32") -> None:
        self.path, self.shape, self.dtype = path, shape, dtype


class FakeCheckpoint(dict[str, Tensor]):
    """A Mapping[str, Tensor] over one block of memory."""

    layout = "keras_paths"

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray[Any, Any]],
        names_of: Mapping[str, str] | None = None,
        version: str | None = None,
        dtype_names: Mapping[str, str] | None = None,
    ) -> None:
        self.names_of = dict(names_of or {})
        self.name = "fake.weights.h5"
        self.metadata = {"keras_version": version} if version else {}
        blob = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays.values())
        source = Source.of_bytes(blob, "fake.weights.h5")
        offset = 0
        for name, a in arrays.items():
            dtype = (dtype_names or {}).get(name) or dtypes.name_of(a.dtype)
            self[name] = Tensor(name, dtype, a.shape, (Extent(source, offset, a.nbytes),))
            offset += a.nbytes


def fake(names: Iterable[str], shape: tuple[int, ...] = (2, 2), **kwargs: Any) -> FakeCheckpoint:
    """A checkpoint of equal shapes; the n-th tensor is full of n."""
    return FakeCheckpoint({n: np.full(shape, i, np.float32) for i, n in enumerate(names)}, **kwargs)


def from_h5(path: Any, version: str | None = None) -> FakeCheckpoint:
    """What an HDF5 file holds, read by h5py."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    names: dict[str, str] = {}
    marked: dict[str, str] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            array = np.array(item)
            if array.dtype.kind == "V":
                marked[name] = item.attrs.get("dtype", f"opaque{array.dtype.itemsize}")
            arrays[name] = array
        elif "name" in item.attrs and (name == "vars" or name.endswith("/vars")):
            names[name] = item.attrs["name"]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return FakeCheckpoint(arrays, names, version, marked)


class Build:
    """A tree by hand: ``b.node("dense", "a", [(2, 2), (2,)])``."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def node(
        self,
        cls: str,
        name: str | None = None,
        shapes: Iterable[tuple[int, ...]] = (),
        kind: str = "Layer",
        **entries: Any,
    ) -> Node:
        node = Node(len(self.nodes), cls, kind, name)
        self.nodes.append(node)
        node.loads = kind != "Metric"
        for i, shape in enumerate(shapes):
            path = f"{name or cls}/v{i}"
            node.leaves.append(Leaf(str(i), path, f"v{i}", shape, "float32", Variable(path, shape), node))
        node.expects = len(node.leaves)
        node.entries = [(k, as_child(v)) for k, v in entries.items()]
        node.entries.sort(key=lambda e: "~" + e[0] if e[0].startswith("_") else e[0])
        return node

    def tree(self, root: Node) -> Tree:
        self.nodes.remove(root)
        self.nodes.insert(0, root)
        for i, node in enumerate(self.nodes):
            node.index = i
        return Tree(self.nodes)


def as_child(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return Container("list", [as_child(v) for v in value])
    if isinstance(value, set):
        return Container("set", [as_child(v) for v in value])
    if isinstance(value, dict):
        return Container("dict", [as_child(v) for v in value.values()])
    return value
