"""A case of ``cases`` by kio's row."""

from __future__ import annotations

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
