"""kio: fast, safe reading and writing of Keras and TensorFlow weights and models.

Names are resolved on first use, so that ``import kio`` costs nothing and neither Keras nor
a backend is imported before a model is involved.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kio import background as background
    from kio import callbacks as callbacks
    from kio import saving as saving
    from kio.api import diff as diff
    from kio.api import load_model as load_model
    from kio.api import load_weights as load_weights
    from kio.api import model_from_config as model_from_config
    from kio.api import model_from_json as model_from_json
    from kio.api import open as open
    from kio.api import plan as plan
    from kio.api import stream as stream
    from kio.api import verify as verify
    from kio.checkpoint import Checkpoint as Checkpoint
    from kio.errors import ChangedError as ChangedError
    from kio.errors import ChecksumError as ChecksumError
    from kio.errors import CorruptError as CorruptError
    from kio.errors import ForeignFormatError as ForeignFormatError
    from kio.errors import FormatError as FormatError
    from kio.errors import KioError as KioError
    from kio.errors import LimitError as LimitError
    from kio.errors import MatchError as MatchError
    from kio.errors import MissingDependencyError as MissingDependencyError
    from kio.errors import TruncatedError as TruncatedError
    from kio.errors import UnknownFormatError as UnknownFormatError
    from kio.errors import UnknownNameError as UnknownNameError
    from kio.errors import UnsafeError as UnsafeError
    from kio.errors import UnsupportedError as UnsupportedError
    from kio.limits import Limits as Limits
    from kio.raw.tensor import Tensor as Tensor
    from kio.reports import SaveResult as SaveResult
    from kio.writing import convert as convert
    from kio.writing import save_model as save_model
    from kio.writing import save_weights as save_weights
    from kio.writing import write as write

# public name -> module that defines it
_HOME = {
    "Checkpoint": "kio.checkpoint",
    "Limits": "kio.limits",
    "SaveResult": "kio.reports",
    "Tensor": "kio.raw.tensor",
    **dict.fromkeys(["convert", "save_model", "save_weights", "write"], "kio.writing"),
    **dict.fromkeys(
        [
            "diff",
            "load_model",
            "load_weights",
            "model_from_config",
            "model_from_json",
            "open",
            "plan",
            "stream",
            "verify",
        ],
        "kio.api",
    ),
    **dict.fromkeys(
        [
            "ChangedError",
            "ChecksumError",
            "CorruptError",
            "ForeignFormatError",
            "FormatError",
            "KioError",
            "LimitError",
            "MatchError",
            "MissingDependencyError",
            "TruncatedError",
            "UnknownFormatError",
            "UnknownNameError",
            "UnsafeError",
            "UnsupportedError",
        ],
        "kio.errors",
    ),
}

_MODULES = ("background", "callbacks", "saving", "tf")

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"kio.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'kio' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
