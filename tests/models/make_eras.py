"""Prints kio/models/eras/keras3_table.py from the constructors of several releases of Keras 3.

KERAS_BACKEND=jax python make_eras.py dump > 3.x.y.json      once with each release
python make_eras.py table *.json > eras_table.py
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from pathlib import Path

SKIP = {"QuantizationConfig", "InputSpec", "Quantizer", "STFTInitializer"}
MODULES = ("layers", "initializers", "optimizers", "losses", "metrics", "regularizers", "constraints", "dtype_policies")


def plain(value):
    if value is inspect.Parameter.empty:
        return "<required>"
    try:
        json.dumps(value)
    except TypeError:
        return "<" + repr(value)[:40] + ">"
    return value


def accepted(cls):
    """Every argument that a constructor takes, with its default; through ``**kwargs`` to the bases."""
    found = {}
    for base in cls.__mro__:
        init = base.__dict__.get("__init__")
        if init is None or base is object:
            continue
        more = False
        for parameter in list(inspect.signature(init).parameters.values())[1:]:
            if parameter.kind == parameter.VAR_KEYWORD:
                more = True
            elif parameter.kind != parameter.VAR_POSITIONAL:
                found.setdefault(parameter.name, plain(parameter.default))
        if not more:
            break
    return found


def dump():
    import keras

    places = [getattr(keras, name) for name in (*MODULES, "quantizers") if hasattr(keras, name)]
    places.append(keras.optimizers.schedules)
    classes = {}
    for place in places:
        for alias, cls in vars(place).items():
            if isinstance(cls, type) and alias[0].isupper() and not alias.startswith("Convolution"):
                # A configuration has the public name, which need not be the class's own.
                classes[alias] = accepted(cls)
    functions = {name for name, f in vars(keras.activations).items() if inspect.isfunction(f)}
    functions -= {"get", "serialize", "deserialize"}
    record = {"version": keras.__version__, "classes": classes, "activations": sorted(functions)}
    json.dump(record, sys.stdout, indent=1)


def words(names, indent=8):
    return textwrap.indent("\n".join(textwrap.wrap(" ".join(names), 110)), " " * indent)


def first(records, has):
    return next((version for version, record in records.items() if has(record)), None)


def table(paths):
    found = [json.loads(Path(path).read_text()) for path in paths]
    records = {tuple(map(int, record["version"].split("."))): record for record in found}
    records = dict(sorted(records.items()))
    oldest, newest = min(records), records[max(records)]
    classes, arguments, activations = {}, {}, {}
    for name, parameters in sorted(newest["classes"].items()):
        if name in SKIP:
            continue
        since = first(records, lambda r, name=name: name in r["classes"])
        if since != oldest:
            classes.setdefault(since, []).append(name)
        for key, default in sorted(parameters.items()):
            known = first(records, lambda r, name=name, key=key: key in r["classes"].get(name, ()))
            if known != since and default != "<required>":
                arguments.setdefault((known, key, json.dumps(default)), []).append(name)
    for name in newest["activations"]:
        since = first(records, lambda r, name=name: name in r["activations"])
        if since != oldest:
            activations.setdefault(since, []).append(name)
    print("CLASSES: dict[Version, str] = {")
    for since, names in sorted(classes.items()):
        print(f'    {since}: """\n{words(names)}\n    """,')
    print("}\n\nACTIVATIONS: dict[Version, str] = {")
    for since, names in sorted(activations.items()):
        print(f'    {since}: """\n{words(names)}\n    """,')
    print("}\n\n# (argument, the value at which it changes nothing, since, of which classes)")
    print("ARGUMENTS: tuple[tuple[str, Any, Version, str], ...] = (")
    for (since, key, default), names in sorted(arguments.items()):
        value = repr(json.loads(default)).replace("'", '"')
        print(f'    ("{key}", {value}, {since}, """\n{words(names)}\n    """),')
    print(")  # fmt: skip")


if __name__ == "__main__":
    dump() if sys.argv[1] == "dump" else table(sys.argv[2:])
