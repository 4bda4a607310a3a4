"""Plans for the files of every Keras 3 version: each variable from where its values really are.

The corpus says for each variable which tensors hold it; every variable has values of its own.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kio

keras = pytest.importorskip("keras")

from kio.mapping.plan import KERAS  # noqa: E402
from kio.models import load  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

KERAS3 = Path(__file__).parents[1] / "corpus" / "keras3"

# Data that the file does not have, or that means something else now.  Stock Keras cannot load these either.
NOT_THERE = {
    "nested_list_layer": "before 3.15 layers in lists in lists of a layer were not written",
    "set_model": "since 3.15 sets are not written",
}


def cases() -> Iterator[Any]:
    for path in sorted(KERAS3.glob("*/*/expected.json")):
        for name in json.loads(path.read_text())["files"]:
            if not name.startswith("npz"):
                yield pytest.param(
                    path.parent, name, id=f"{path.parent.parent.name}-{path.parent.name}-{name}"
                )


@pytest.fixture(scope="module")
def table() -> Iterator[Any]:
    sys.path.insert(0, str(KERAS3))
    try:
        import cases as module

        yield module.CASES
    finally:
        sys.path.remove(str(KERAS3))


_models: dict[str, Any] = {}


def model_of(table: Any, name: str) -> Any:
    """The model of a case, built as make.py builds it; skips what this backend cannot make."""
    if name not in _models:
        case = table[name]
        if case.backend not in (keras.backend.backend(), "jax"):
            pytest.skip(f"the model needs the {case.backend} backend")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keras.utils.clear_session()
            try:
                model, inputs = case.build()
            except ImportError as e:
                pytest.skip(f"the model needs more than Keras: {e}")
            if not model.built:
                model(inputs)
        _models[name] = model
    return _models[name]


def variables_of(model: Any) -> list[Any]:
    found = list(model.variables)
    if getattr(model, "optimizer", None) is not None:
        seen = {id(v) for v in found}
        found += [v for v in model.optimizer.variables if id(v) not in seen]
    return found


@pytest.mark.parametrize("folder, name", list(cases()))
def test_plan(table: Any, folder: Path, name: str) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    model = model_of(table, folder.name)
    variables = variables_of(model)
    with kio.open(folder / name) as checkpoint:
        plan = load.plan(model, checkpoint)
    truth = [
        {tensor.partition("!")[2] for tensor in record["stored"].get(name, ())} for record in expected["variables"]
    ]
    if len(truth) != len(variables) or folder.name in NOT_THERE:
        # The layers of this Keras have other variables than the writer's.
        return
    plan.check(KERAS)
    from_where = {id(leaf.handle): tensor.name for tensor, leaf in plan.pairs}
    own = {t.name for custom in plan.customs for t in custom.tensors.values()}
    for record, variable, stored in zip(expected["variables"], variables, truth, strict=True):
        if record["name"] == "g_idx" or stored & own or (not stored and folder.name.startswith("lora")):
            # LoRA factors are merged into the kernel that is stored.
            continue
        assert (from_where.get(id(variable)) in stored) if stored else id(variable) not in from_where, (
            record["path"],
            from_where.get(id(variable)),
            stored,
        )
