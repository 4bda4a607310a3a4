"""The contenders: modules of the same functions, so that none is a special case.

A contender defines ``label`` and those of these that it can do:

    load_model(path, **options)          -> a Keras model
    load_weights(model, path, **options) -> None
    read(path, **options)                -> name -> numpy array (or what arrays() turns into one)
    index(path, **options)               -> a handle on names, shapes and dtypes of every tensor
    rows(handle)                         -> (name, shape, dtype name) of each; not timed
    arrays(result)                       -> what read() returned, as numpy; not timed, no copy
    save_model(model, path, fsync=0)     -> None; likewise save_weights
    save_in_background(model, path)      -> None, or something to wait() for

A function that finds its API missing raises Unavailable.
"""

import importlib
from types import ModuleType

# contender: the module that has to be imported before its clock starts
MODULES = {
    "kio": "kio",
    "keras": "keras",
    "h5py": "h5py",
    "safetensors": "safetensors.numpy",
    "torch": "torch",
    "roofline": "",
}
# What a contender reads instead of the case's file: the same tensors in a format of its own.
NATIVE = {"safetensors": "safetensors", "torch": "torch"}


class Unavailable(Exception):
    """This contender cannot take part here, and the message says why; not a failure."""


def find(label: str) -> ModuleType:
    if label not in MODULES:
        raise Unavailable(f"no contender {label!r}; there are {', '.join(MODULES)}")
    return importlib.import_module(f"benchmarks.contenders.{label}")
