"""Ask TensorFlow what each case of ``cases`` gives: ``python -m tests.ops.make`` writes ``expected.npz``.

Written with TensorFlow 2.21; the keys are the numbers of the cases and of their outputs.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from tests.ops.cases import CASES, Case
from tests.ops.running import is_node

# Inputs that have another name in ``tf.raw_ops`` than in graphs.
_PYTHON = {"reduction_indices": "axis", "dim": "axis", "split_dim": "axis"}
EXPECTED = Path(__file__).with_name("expected.npz")


def of_tensorflow(case: Case) -> list[Any]:
    """The outputs of a case, those of a node in the order of its definition."""
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    if not is_node(case.name):
        made = _function(tf, case)
    else:
        definition = op_def_registry.get(case.name)
        places = list(definition.input_arg)
        inputs: dict[str, Any] = {}
        left = list(case.args)
        for i, place in enumerate(places):
            if place.number_attr or place.type_list_attr:
                end = len(left) - (len(places) - i - 1)
                inputs[place.name], left = left[:end], left[end:]
            else:
                inputs[place.name] = left.pop(0)
        inputs = {_PYTHON.get(key, key): value for key, value in inputs.items()}
        made = getattr(tf.raw_ops, case.name)(**inputs, **case.kwargs)
    return [np.asarray(each) for each in (made if isinstance(made, (list, tuple)) else [made])]


def _function(tf: Any, case: Case) -> Any:
    if case.name.startswith("keras."):
        found: Any = importlib.import_module("tf_keras")
    else:
        found = tf
    for part in case.name.removeprefix("keras.").split("."):
        found = getattr(found, part)
    args = [tf.convert_to_tensor(each) if isinstance(each, np.ndarray) else each for each in case.args]
    return found(*args, **case.kwargs)


if __name__ == "__main__":
    np.savez_compressed(
        EXPECTED,
        **{f"{i}-{j}": made for i, case in enumerate(CASES) for j, made in enumerate(of_tensorflow(case))},
    )
