"""Layers of four bits between versions of Keras 3, which said otherwise what they do.

    3.11, 3.12   policy "int4"; inputs are quantized, too
    3.13         the same, and quantization_config says so
    from 3.14    policy "int4/-1", or "int4/128" in blocks; without quantization_config inputs
                 are left alone

Spec: ``_int4_build`` and ``Int4QuantizationConfig`` of Keras 3.11.3, 3.13.2 and 3.15.1.
"""

from __future__ import annotations

from typing import Any

from kio.models.eras.rule import Config, Context, refuse

SAID, BLOCKS = (3, 13), (3, 14)
_LAYERS = frozenset({"Dense", "EinsumDense", "Embedding"})
_POLICY = {"module": "keras.dtype_policies", "registered_name": None}

# How inputs were quantized before there was a word for it.
_INPUTS: Config = {
    "module": "keras.quantizers",
    "class_name": "AbsMaxQuantizer",
    "config": {"value_range": [-127, 127], "epsilon": 1e-07, "output_dtype": "int8"},
    "registered_name": None,
}


def _said(inputs: Config | None) -> Config:
    return {
        "module": "keras.quantizers",
        "class_name": "Int4QuantizationConfig",
        "config": {"weight_quantizer": None, "activation_quantizer": inputs},
        "registered_name": None,
    }


def _modes(dtype: Any) -> list[str]:
    """The modes of the policies in a layer's ``dtype``: its own, or those of a map."""
    if isinstance(dtype, dict):
        inner = dtype.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("policy_map"), dict):
            return [mode for each in inner["policy_map"].values() for mode in _modes(each)]
        return [str(inner.get("mode"))] if isinstance(inner, dict) and "mode" in inner else []
    return [dtype.partition("_from_")[0]] if isinstance(dtype, str) and "_from_" in dtype else []


def newer(name: str, inner: Config, context: Context, installed: tuple[int, ...]) -> Config:
    """Arguments of a layer of 3.11 or 3.12 with its inputs' quantization said."""
    if name not in _LAYERS or installed < SAID or "quantization_config" in inner:
        return inner
    if "int4" not in _modes(inner.get("dtype")):
        return inner
    context.applied["inputs of an int4 layer are quantized"] += 1
    return {**inner, "quantization_config": _said(_INPUTS)}


def older(name: str, inner: Config, context: Context, installed: tuple[int, ...]) -> Config:
    """Arguments of a layer as a Keras takes them that knows no blocks, or no quantization_config.

    Raises:
        UpgradeError: where it cannot do the same.
    """
    modes = [mode for mode in _modes(inner.get("dtype")) if mode.partition("/")[0] == "int4"]
    if installed >= BLOCKS or name not in _LAYERS or not modes:
        return inner
    blocks = [mode for mode in modes if mode not in ("int4", "int4/-1")]
    if blocks:
        raise refuse(f"dtype of {inner.get('name')}", "int4 without blocks, before Keras 3.14", ", ".join(blocks))
    said = inner.get("quantization_config")
    stored = dict(said.get("config") or {}) if isinstance(said, dict) else {}
    stored.pop("block_size", None)
    inputs = stored.get("activation_quantizer")
    inner = {**inner, "dtype": _plain(inner["dtype"]), "quantization_config": _said(inputs)}
    inner["quantization_config"]["config"].update(stored)
    context.applied["int4 without blocks"] += 1
    if installed >= SAID:
        return inner
    del inner["quantization_config"]
    if name == "Embedding":
        raise refuse(f"dtype of {inner.get('name')}", "floats in an Embedding, before Keras 3.13", "int4")
    if not (isinstance(inputs, dict) and inputs.get("class_name") == "AbsMaxQuantizer"):
        raise refuse(f"inputs of {inner.get('name')}", "quantized ones, before Keras 3.13", "floats")
    return inner


def _plain(dtype: Any) -> Any:
    """The policies of a ``dtype`` as they were called before blocks."""
    if isinstance(dtype, str):
        return dtype.replace("int4/-1", "int4")
    inner = dtype.get("config") if isinstance(dtype, dict) else None
    if not isinstance(inner, dict):
        return dtype
    if isinstance(inner.get("policy_map"), dict):
        changed = {key: _plain(each) for key, each in inner["policy_map"].items()}
        return {**dtype, "config": {**inner, "policy_map": changed}}
    if inner.get("mode") == "int4/-1":
        return {**_POLICY, "class_name": "QuantizedDTypePolicy", "config": {**inner, "mode": "int4"}}
    return dtype
