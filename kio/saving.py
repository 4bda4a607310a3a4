"""Drop-in replacement for ``keras.saving``: same names, same signatures.

Call the functions here instead of Keras's, or ``install()`` once and let existing code run
unchanged: ``keras.saving.load_model``, ``keras.models.load_model``,
``keras.saving.load_weights`` and ``Model.load_weights`` then go through kio wherever kio
reads the file, and to stock Keras for everything else (SavedModel folders, say).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from kio import api
from kio.errors import UnknownFormatError, UnsupportedError

__all__ = ["install", "installed", "load_model", "load_weights", "uninstall"]

# (owner, attribute) -> what stood there before install()
_stock: dict[tuple[Any, str], Any] = {}


def load_model(
    filepath: Any,
    custom_objects: Any = None,
    compile: bool = True,
    safe_mode: bool = True,
    **extras: Any,
) -> Any:
    """``keras.saving.load_model`` on kio.  Extras: see ``kio.load_model``."""
    return api.load_model(filepath, custom_objects, compile, safe_mode, **extras)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **extras: Any) -> Any:
    """``keras.saving.load_weights`` on kio.  Extras: see ``kio.load_weights``."""
    return api.load_weights(model, filepath, skip_mismatch, **extras)


def _left_to_keras(error: BaseException) -> bool:
    """Whether kio declines the kind of input, as opposed to finding it wrong."""
    return isinstance(error, (UnknownFormatError, UnsupportedError))


def _replacement_load_model(stock: Any) -> Any:
    @functools.wraps(stock)
    def load_model(
        filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True, **kw: Any
    ) -> Any:
        try:
            return api.load_model(filepath, custom_objects, compile, safe_mode, **kw)
        except (UnknownFormatError, UnsupportedError) as e:
            declined: BaseException = e
        try:
            return stock(filepath, custom_objects, compile, safe_mode, **kw)
        except Exception as e:
            raise e from declined

    return load_model


def _replacement_model_load_weights(stock: Any) -> Any:
    @functools.wraps(stock)
    def load_weights(self: Any, filepath: Any, skip_mismatch: bool = False, **kw: Any) -> None:
        # Returns None as Model.load_weights does; kio.load_weights gives the report.
        try:
            api.load_weights(self, filepath, skip_mismatch, **kw)
            return
        except (UnknownFormatError, UnsupportedError) as e:
            declined: BaseException = e
        try:
            stock(self, filepath, skip_mismatch=skip_mismatch, **kw)
        except Exception as e:
            raise e from declined

    return load_weights


def _targets() -> Iterator[tuple[Any, str, Any]]:
    """What install() replaces: (owner, attribute, maker of the replacement)."""
    import keras
    from keras.src.saving import saving_api

    for owner in (keras.saving, keras.models, saving_api):
        yield owner, "load_model", _replacement_load_model
    for owner in (keras.saving, saving_api):
        if hasattr(owner, "load_weights"):
            yield owner, "load_weights", _replacement_model_load_weights
    yield keras.Model, "load_weights", _replacement_model_load_weights


def install() -> None:
    """Let Keras's own loading functions run on kio.  Calling it twice is calling it once."""
    if _stock:
        return
    made: dict[Any, Any] = {}
    for owner, name, replacement in list(_targets()):
        stock = getattr(owner, name)
        _stock[owner, name] = stock
        # One stock function has several names; its replacement does, too.
        if (stock, replacement) not in made:
            made[stock, replacement] = replacement(stock)
        setattr(owner, name, made[stock, replacement])


def uninstall() -> None:
    """Put Keras's own functions back."""
    while _stock:
        (owner, name), stock = _stock.popitem()
        setattr(owner, name, stock)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """``with kio.saving.installed():`` runs the block with ``install()`` in force."""
    already = bool(_stock)
    install()
    try:
        yield
    finally:
        if not already:
            uninstall()
