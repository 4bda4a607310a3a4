"""Slices among the arguments of TensorFlow functions, as the installed Keras reads them.

    {"start": 0, "stop": null, "step": 2}                       tf.keras
    {"class_name": "__slice__", "config": {"start": …}}         Keras 3
    {"class_name": "__ellipsis__"}                              both, today's with an empty config

Spec: ``SlicingOpLambda`` of tf.keras 2.4 to 2.15; ``serialization_lib`` of Keras 3.3.
"""

from __future__ import annotations

from typing import Any

_WHOLE = {"start": None, "stop": None, "step": None}


def reversed_axis(key: Any) -> int | None:
    """The axis that slices turn round and do nothing else to; None for all other slices."""
    parts = key if isinstance(key, list) else []
    back = [i for i, each in enumerate(parts) if each == {**_WHOLE, "step": -1}]
    dots = [i for i, each in enumerate(parts) if _is_ellipsis(each)]
    if len(back) != 1 or len(dots) > 1:
        return None
    if any(each not in (_WHOLE, {**_WHOLE, "step": 1}) for i, each in enumerate(parts) if i not in back + dots):
        return None
    return back[0] - len(parts) if dots and dots[0] < back[0] else back[0]


def turned(key: Any) -> bool:
    """Whether any of the slices goes backward."""
    parts = key if isinstance(key, list) else [key]
    return any(isinstance(p, dict) and isinstance(p.get("step"), int) and p["step"] < 0 for p in parts)


def todays(key: Any) -> Any:
    """Slices and ``...`` of tf.keras as Keras 3 stores its own."""
    if isinstance(key, list):
        return [todays(each) for each in key]
    if isinstance(key, dict) and set(key) == set(_WHOLE):
        return {"class_name": "__slice__", "config": key}
    return ellipses(key)


def ellipses(value: Any) -> Any:
    """``...`` as Keras 3 reads it; slices stay as they are, which kio's own functions know."""
    if isinstance(value, list):
        return [ellipses(each) for each in value]
    return {"class_name": "__ellipsis__", "config": {}} if _is_ellipsis(value) else value


def _is_ellipsis(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__ellipsis__"


def named(spec: Any) -> Any:
    """Slices with an ellipsis by a name: Keras before 3.3 cannot read the object that stands for one."""
    if _is_ellipsis(spec):
        return "..."
    if isinstance(spec, dict) and spec.get("class_name") == "__slice__":
        return spec["config"]
    return [named(each) for each in spec] if isinstance(spec, list) else spec
