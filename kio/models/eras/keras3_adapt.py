"""Between versions of Keras 3: what a newer writer says is left out where it says nothing new."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kio.keras_private import version
from kio.models.allowlist import accepted, builtin_class
from kio.models.eras import int4_configs, keras3_older
from kio.models.eras.era import Era
from kio.models.eras.rule import Config, Context, refuse
from kio.models.eras.upgrade.objects import module_of

Change = Callable[[str, Config], Config]

# Arguments that came after 3.0, with the value at which a layer does what it did before.
ADDED: dict[str, tuple[Any, ...]] = {
    "quantization_config": (None,),
    "input_axes": (None,),
    "output_axes": (None,),
    "lora_rank": (None,),
    "lora_alpha": (None,),
    "gptq_unpacked_column_size": (None,),
    "ragged": (False,),
    "optional": (False,),
    "use_gate": (False,),
    "sliding_window": (None,),
    "flash_attention": (None, False),
    "renorm": (False,),
    "renorm_clipping": (None,),
    "renorm_momentum": (0.99,),
    "seed": (None,),
    "data_format": (None,),
    "zero_output_for_mask": (False,),
    "use_cudnn": ("auto",),
    "fill_value": (0.0,),
    "antialias": (False,),
    "pad_to_aspect_ratio": (False,),
    "weight_shape": (None,),
    "native_serialization_platforms": (None,),
    "oov_method": ("floormod",),
    "salt": (None,),
    "value_range": ([0, 255],),
}

# What the layers of 3.2 to 3.14 did without being told, by the class that says so since.
_USUAL = {"weight_quantizer": (None,), "activation_quantizer": (None, "AbsMaxQuantizer")}
_ABSMAX = {"value_range": [-127, 127], "epsilon": 1e-07, "output_dtype": "int8"}


def installed() -> tuple[int, ...]:
    """The version of the installed Keras as numbers."""
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in version().split(".")[:3])


def is_todays(config: Config, era: Era) -> bool:
    """Whether a configuration is in Keras 3's own grammar throughout.

    Keras 3's ``.h5`` files are not: their layers come without modules.
    """
    module = config.get("module")
    if not isinstance(module, str) or not (era.modern or era.version is None):
        return False
    return era.modern or module_of(config.get("class_name"), module) == module


def adapted(config: Config, context: Context) -> Config:
    """A configuration of Keras 3 as the installed Keras 3 takes it.

    Of a newer one it loses what the installed one is too old to know, as far as that says
    nothing; of an older one it says what went without saying.

    Raises:
        UpgradeError: for what the installed one cannot do.
    """
    written, here = context.era.version, installed()
    changes: list[Change] = []
    if here < keras3_older.TWICE:
        changes.append(lambda name, inner: keras3_older.built_once(name, inner, here))
    if written is None or written > here:
        changes += [lambda name, inner: int4_configs.older(name, inner, context, here), partial(known, context=context)]
    if written is None or written < int4_configs.SAID:
        changes.append(lambda name, inner: int4_configs.newer(name, inner, context, here))
    changed = _adapted(config, changes)
    if written is not None and written > here:
        changed = keras3_older.downgraded(changed, here, {}, newest=written)
    return changed if isinstance(changed, dict) and changes else config


def _adapted(node: Any, changes: Sequence[Change]) -> Any:
    if isinstance(node, dict):
        node = {key: _adapted(value, changes) for key, value in node.items()}
        inner, name = node.get("config"), node.get("class_name")
        if isinstance(inner, dict) and isinstance(name, str) and builtin_class(name, node.get("module")) is not None:
            for change in changes:
                inner = node["config"] = change(name, inner)
        return node
    return [_adapted(each, changes) for each in node] if isinstance(node, list) else node


def check_operation(module: str, name: str, inner: Config, what: str) -> None:
    """Refuse an operation that the installed Keras does not have, or not with these arguments.

    Raises:
        UpgradeError: naming what it stands for.
    """
    since = keras3_older.PARTS.get(name)
    cls = builtin_class(name, module)
    if cls is None or (since is not None and installed() < since):
        raise refuse(what, f"an operation that Keras {version()} has", name)
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    unknown = [key for key, value in inner.items() if key not in parameters and value is not None]
    if unknown:
        raise refuse(f"{unknown[0]} of {what}", f"no such argument of {name} in Keras {version()}", inner[unknown[0]])
    for key in [key for key in inner if key not in parameters]:
        del inner[key]


def _says_nothing(key: str, inner: Config) -> bool:
    value = inner[key]
    if key == "lora_alpha" and value == inner.get("lora_rank"):
        return True  # alpha / rank is the factor
    if key == "quantization_config" and isinstance(value, dict):
        return _is_usual(value)
    return key in ADDED and value in ADDED[key]


def _is_usual(value: Config) -> bool:
    """Whether a quantization is how every layer was quantized before there was a choice."""
    inner = value.get("config")
    if not isinstance(inner, dict) or value.get("class_name") not in (
        "Int8QuantizationConfig",
        "Float8QuantizationConfig",
    ):
        return False
    for key, quantizer in inner.items():
        known_as = quantizer.get("class_name") if isinstance(quantizer, dict) else quantizer
        if key not in _USUAL or known_as not in _USUAL[key]:
            return False
        if isinstance(quantizer, dict) and {**_ABSMAX, **(quantizer.get("config") or {})} != _ABSMAX:
            return False
    return True


def known(name: str, inner: Config, context: Context) -> Config:
    """Arguments without those that this Keras does not know and that say nothing."""
    taken = accepted(name)
    if taken is None:
        return inner
    extra = [key for key in inner if key not in taken and _says_nothing(key, inner)]
    if extra:
        context.applied["arguments of a newer Keras at their default"] += len(extra)
        inner = {key: value for key, value in inner.items() if key not in extra}
    return inner
