"""CuDNN's recurrent layers, which can be made and saved without a GPU, not run."""

import importlib

from registry import keras

ROOT = keras.__name__.split(".")[0] if keras.__name__.startswith("tf_keras") else "keras"


def _class(module, name):
    try:
        found = importlib.import_module(f"{ROOT}.src.layers.rnn.{module}")
    except ModuleNotFoundError:
        found = importlib.import_module(f"{ROOT}.layers.rnn.{module}")  # until 2.12
    return getattr(found, name)


CuDNNLSTM = _class("cudnn_lstm", "CuDNNLSTM")
CuDNNGRU = _class("cudnn_gru", "CuDNNGRU")


def standard(config):
    """A configuration with LSTM and GRU in the place of CuDNN's; Keras 2 converts the weights."""
    if isinstance(config, list):
        return [standard(each) for each in config]
    if not isinstance(config, dict):
        return config
    made = {key: standard(value) for key, value in config.items()}
    for old, new in (("CuDNNLSTM", "LSTM"), ("CuDNNGRU", "GRU")):
        if config.get("class_name") == old:
            made["class_name"] = new
            made.pop("module", None)
            made.pop("registered_name", None)
            if new == "GRU":
                made["config"]["reset_after"] = True
    return made
