"""A case of ``cases`` by kio's row."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tests.ops.cases import Case


def is_node(name: str) -> bool:
    """Whether a name is one of graphs; those of the API begin small."""
    return name[0].isupper()


def of_kio(case: Case) -> list[Any]:
    """The outputs of a case; what the row must know are numbers, all other arrays tensors of the backend."""
    import keras

    from kio.ops import FUNCTIONS, NODES, node

    row = NODES[case.name] if is_node(case.name) else FUNCTIONS[case.name]
    if is_node(case.name):
        given = node(case.name).bind(case.args, case.kwargs)
    elif case.name == "einsum":
        given = {"equation": case.args[0], "inputs": list(case.args[1:])}
    elif case.name == "math.in_top_k":
        given = dict(zip(("targets", "predictions", "k"), case.args, strict=True))
    else:
        given = dict(zip(row.parameters, case.args, strict=False)) | case.kwargs
    numbers = row.constants | row.computed

    def fed(key: str, value: Any) -> Any:
        if isinstance(value, list):
            return [fed(key, each) for each in value]
        if isinstance(value, (np.ndarray, np.generic)):
            return value.tolist() if key in numbers else keras.ops.convert_to_tensor(value)
        return value

    made = row.run(**{key: fed(key, value) for key, value in given.items()})
    return [keras.ops.convert_to_numpy(each) for each in (made if isinstance(made, (list, tuple)) else [made])]


def of_stock(case: Case) -> list[Any] | None:
    """The outputs of a case by the operation of Keras's own that its row names; None where it refuses the call."""
    import keras

    from kio.ops import FUNCTIONS
    from kio.ops.stock import Arguments, UnlikeError

    row = FUNCTIONS[case.name]
    tensors: list[Any] = []

    def stored(key: str, value: Any) -> Any:
        """An argument as a file of tf.keras has it."""
        if isinstance(value, list):
            return [stored(key, each) for each in value]
        if isinstance(value, np.ndarray) and key not in row.constants:
            tensors.append(value)
            return {"class_name": "__keras_tensor__", "config": len(tensors) - 1}
        if isinstance(value, slice):
            return {"start": value.start, "stop": value.stop, "step": value.step}
        if value is Ellipsis:
            return {"class_name": "__ellipsis__"}
        return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value

    def read(value: Any) -> Any:
        """An argument as Keras reads it from a configuration."""
        if isinstance(value, list):
            return [read(each) for each in value]
        if isinstance(value, dict):
            kind, config = value["class_name"], value.get("config")
            if kind == "__keras_tensor__":
                return keras.ops.convert_to_tensor(tensors[config])
            if kind == "__numpy__":
                return np.asarray(config["value"], config["dtype"])
            return slice(*config.values()) if kind == "__slice__" else Ellipsis
        return value

    args = [case.args[0], list(case.args[1:])] if case.name == "einsum" else list(case.args)
    given = dict(zip(row.parameters, args, strict=False)) | case.kwargs
    first, *others = [(key, stored(key, value)) for key, value in given.items()]
    arguments = Arguments(case.name, first[1], dict(others))
    try:
        module, cls, inner, called, kwargs = row.stock(arguments)
        arguments.end()
    except UnlikeError:
        return None
    called = [tuple(read(each)) if cls == "GetItem" and isinstance(each, list) else read(each) for each in called]
    made = getattr(importlib.import_module(module), cls)(**inner)(*called, **kwargs)
    return [keras.ops.convert_to_numpy(each) for each in (made if isinstance(made, (list, tuple)) else [made])]
