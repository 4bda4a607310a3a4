"""Every type of kio under everything that Python does to an object without being asked.

Run as a program, ``python -m tests.walk FOLDER``: what ends the process fails the test that
started it.  Prints one line a type and what became of it.
"""

from __future__ import annotations

import contextlib
import copy
import faulthandler
import gc
import importlib
import inspect
import os
import pickle
import pkgutil
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import kio
from kio.raw.sink import Sink
from kio.raw.source import Source

# What an object may answer with: anything but the end of the process.
ANSWERS = (Exception,)
# Names that would stop the walk instead: they wait, or end or start things elsewhere.
SPARED = frozenset({"wait", "settle"})


def modules() -> Iterator[Any]:
    """Every module of kio that this environment can import."""
    yield kio
    for found in pkgutil.walk_packages(kio.__path__, "kio."):
        if found.name.endswith("__main__"):
            continue
        with contextlib.suppress(ImportError):
            yield importlib.import_module(found.name)


def types() -> list[type]:
    """Extension types, and those plain classes that hold them or are handed to users."""
    found: dict[type, None] = {}
    for module in modules():
        for each in vars(module).values():
            if isinstance(each, type) and each.__module__.startswith("kio."):
                found[each] = None
    return list(found)


def is_extension(cls: type) -> bool:
    """Whether C code defines the type: no __dict__ of methods that Python made."""
    return not cls.__flags__ & (1 << 9)  # Py_TPFLAGS_HEAPTYPE


def tried(what: Callable[[], Any]) -> Any:
    try:
        return what()
    except ANSWERS as error:
        return error


def poke(thing: Any, deep: bool = True) -> None:
    """Everything that needs no knowledge of the object."""
    for protocol in range(2, 6):
        tried(lambda p=protocol: thing.__reduce_ex__(p))
        data = tried(lambda p=protocol: pickle.dumps(thing, p))
        if isinstance(data, bytes):
            tried(lambda d=data: repr(pickle.loads(d)))
    for make in (copy.copy, copy.deepcopy):
        made = tried(lambda m=make: m(thing))
        tried(lambda o=made: repr(o))
    for look in (repr, str, hash, weakref.ref, bool, len, list, sys.getsizeof, dir, np.asarray, memoryview, iter):
        tried(lambda f=look: f(thing))
    tried(lambda: thing == thing)
    tried(lambda: thing[0])
    tried(lambda: thing["x"])
    if not deep:
        return
    for name in dir(type(thing)):
        if name.startswith("__") or name in SPARED:
            continue
        member = tried(lambda n=name: getattr(thing, n))
        if callable(member):
            for given in ((), (None,), (None, None), (0,), (0, 8), ("x",), (0, 1, "x")):
                tried(lambda m=member, g=given: m(*g))


def unmade(cls: type) -> list[Any]:
    """Objects that nobody constructed, and such as were constructed of nothing."""
    made = [tried(lambda: cls.__new__(cls))]
    for n in range(1, 8):
        made.append(tried(lambda k=n: cls.__new__(cls, *[None] * k)))
        made.append(tried(lambda k=n: cls(*[None] * k)))
    made.append(tried(cls))
    return [each for each in made if isinstance(each, cls)]


def functions() -> Iterator[Callable[..., Any]]:
    """The functions of compiled modules, which take what they are given for what they declare."""
    for module in modules():
        if str(getattr(module, "__file__", "")).endswith((".so", ".pyd")):
            for each in vars(module).values():
                if type(each).__name__ in ("cython_function_or_method", "builtin_function_or_method"):
                    yield each


def files(folder: Path) -> list[str]:
    """A file of each container."""
    arrays = {"a": np.arange(12.0).reshape(3, 4), "b": np.ones((300, 400), "float32")}
    paths = [str(folder / name) for name in ("x.npz", "x.safetensors", "x.weights.h5")]
    for path in paths:
        kio.write(path, arrays)
    packed = str(folder / "packed.weights.h5")
    kio.write(packed, arrays, compression="gzip")
    spooled = str(folder / "spooled.npz")
    np.savez_compressed(spooled, **arrays)
    texts = str(folder / "texts.h5")
    with h5py.File(texts, "w") as file:
        file.create_dataset("any", data=["a", "bc"], dtype=h5py.string_dtype())
        file["fixed"] = np.array([b"a", b"bc"])
    return [*paths, packed, spooled, texts]


def live(folder: Path) -> Iterator[tuple[str, Any, Callable[[], object]]]:
    """Objects in use: what it is, the object, how it is closed."""
    for path in files(folder):
        for what in (path, Path(path).read_bytes(), open(path, "rb"), _Own(path)):  # noqa: SIM115
            checkpoint = kio.open(what)
            tensors = list(checkpoint.values())
            yield "checkpoint", checkpoint, checkpoint.close
            yield "assets", checkpoint.assets, checkpoint.close
            if type(checkpoint.tensors) is not dict:
                yield "index", checkpoint.tensors, checkpoint.close
            for tensor in tensors:
                yield "tensor", tensor, checkpoint.close
                yield "source", tensor.source, checkpoint.close
                for extent in tensor.extents[:2]:
                    yield "extent", extent, checkpoint.close
            if hasattr(what, "close"):
                what.close()
    mapped = kio.open(str(folder / "x.safetensors"), mmap=True)
    yield "mapped", mapped["a"], mapped.close
    sink = Sink.open(str(folder / "y"))
    yield "sink", sink, sink.abort
    from kio.containers import hdf5, zip

    whole = Source.open(str(folder / "x.weights.h5"))
    yield "file", hdf5.open(whole), whole.close
    archive = zip.open(Source.open(str(folder / "x.npz")))
    yield "archive", archive, archive.close


class _Own:
    """A file object that is none of the system's."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115
        self.read, self.seek, self.close = self._file.read, self._file.seek, self._file.close


def main(folder: Path) -> None:
    faulthandler.enable()
    warnings.simplefilter("ignore")
    standard = [os.fstat(fd).st_ino for fd in range(3)]
    found = types()
    extensions = [cls for cls in found if is_extension(cls)]
    # A walk that finds nothing would pass.
    names = {cls.__name__ for cls in extensions}
    assert {"Tensor", "Source", "Extent", "Index", "Archive", "File", "Sink", "Draft", "Image", "Run"} <= names, names
    for cls in extensions:
        print(cls.__module__, cls.__name__, flush=True)
        for thing in unmade(cls):
            poke(thing)
        if not inspect.isabstract(cls) and cls.__init__ is not object.__init__:
            tried(lambda c=cls: c.__init__(c.__new__(c)))
    for function in functions():
        print(getattr(function, "__module__", ""), function.__name__, flush=True)
        for n in range(8):
            tried(lambda f=function, k=n: f(*[None] * k))
    for what, thing, close in live(folder):
        print(what, type(thing).__name__, flush=True)
        poke(thing, deep=False)
        close()
        poke(thing)
    gc.collect()
    # What was never made must not close what it never opened.
    assert [os.fstat(fd).st_ino for fd in range(3)] == standard
    print(f"walked {len(extensions)} extension types")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
