"""Drop-in replacement for ``keras.saving``: same names, same signatures.

Call the functions here instead of Keras's, or ``install()`` once and let existing code run
unchanged: ``load_model``, ``save_model``, ``load_weights`` and ``save_weights`` of
``keras.saving`` and ``keras.models``, ``Model.save``, ``Model.save_weights`` and
``Model.load_weights`` then go through kio wherever kio reads or writes the file, and to
stock Keras for everything else (SavedModel folders, say).
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

from kio import api, writing
from kio.errors import ForeignFormatError, UnknownFormatError, UnsupportedError
from kio.raw import pending
from kio.reports import SaveResult

__all__ = ["install", "installed", "load_model", "load_weights", "save_model", "save_weights", "uninstall"]

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


def save_model(
    model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **extras: Any
) -> SaveResult | None:
    """``keras.saving.save_model`` on kio.  Extras: see ``kio.save_model``.

    Returns:
        The result, or None where the user was asked and declined to overwrite.
    """
    if not _may_write(filepath, overwrite):
        return None
    return writing.save_model(model, filepath, True, zipped, **extras)


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **extras: Any
) -> SaveResult | None:
    """``keras.saving.save_weights`` on kio.  Extras: see ``kio.save_weights``.

    Returns:
        As ``save_model``.
    """
    if not _may_write(filepath, overwrite):
        return None
    return writing.save_weights(model, filepath, True, max_shard_size, **extras)


def _may_write(filepath: Any, overwrite: bool) -> bool:
    """Ask where Keras asks, with its own prompt."""
    _settle(filepath)
    try:
        exists = os.path.exists(filepath)
    except TypeError:
        exists = False
    if overwrite or not exists:
        return True
    from kio.keras_private import ask_to_proceed_with_overwrite

    return bool(ask_to_proceed_with_overwrite(filepath))


def _settle(filepath: Any) -> None:
    """Let a save in the background end before Keras itself looks at the path."""
    if isinstance(filepath, (str, bytes, os.PathLike)):
        pending.settle(os.fsdecode(filepath))


# What kio leaves to Keras: kinds of input that it does not read at all.  What it reads and
# then refuses (a link out of the file, a layer whose meaning has changed) stays refused.
_DECLINED = (UnknownFormatError, ForeignFormatError)


def _by_stock(declined: BaseException | None, stock: Any, *args: Any, **kw: Any) -> Any:
    """Call Keras's own function; where it fails, too, its error also says why kio declined."""
    try:
        return stock(*args, **kw)
    except Exception as e:
        raise e from declined


def _replacement_load_model(stock: Any) -> Any:
    @functools.wraps(stock)
    def load_model(
        filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True, **kw: Any
    ) -> Any:
        try:
            return api.load_model(filepath, custom_objects, compile, safe_mode, **kw)
        except _DECLINED as e:
            declined: BaseException = e
        return _by_stock(declined, stock, filepath, custom_objects, compile, safe_mode, **kw)

    return load_model


def _replacement_model_load_weights(stock: Any) -> Any:
    @functools.wraps(stock)
    def load_weights(self: Any, filepath: Any, skip_mismatch: bool = False, **kw: Any) -> None:
        # Returns None as Model.load_weights does; kio.load_weights gives the report.
        try:
            api.load_weights(self, filepath, skip_mismatch, **kw)
            return
        except _DECLINED as e:
            declined: BaseException = e
        _by_stock(declined, stock, self, filepath, skip_mismatch=skip_mismatch, **kw)

    return load_weights


def _replacement_save_model(stock: Any) -> Any:
    @functools.wraps(stock)
    def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kw: Any) -> None:
        # Keras writes the optimizer into every .keras, whatever include_optimizer says.
        extras = {} if str(filepath).endswith(".keras") or zipped is False else dict(kw)
        declined: BaseException | None = None
        if kw.keys() <= {"include_optimizer"}:
            try:
                writing.format_of_model(filepath, zipped)
            except (UnknownFormatError, UnsupportedError) as e:
                declined = e
            else:
                if _may_write(filepath, overwrite):
                    writing.save_model(model, filepath, True, zipped, **extras)
                return
        _settle(filepath)
        if zipped is not None:
            kw["zipped"] = zipped  # which the first versions did not have
        _by_stock(declined, stock, model, filepath, overwrite, **kw)

    return save_model


def _replacement_save_weights(stock: Any) -> Any:
    @functools.wraps(stock)
    def save_weights(
        model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **kw: Any
    ) -> None:
        declined: BaseException | None = None
        if kw.keys() <= {"objects_to_skip"}:
            try:
                writing.format_of_weights(filepath, max_shard_size)
            except (UnknownFormatError, UnsupportedError) as e:
                declined = e
            else:
                if _may_write(filepath, overwrite):
                    writing.save_weights(model, filepath, True, max_shard_size, **kw)
                return
        _settle(filepath)
        if max_shard_size is not None:
            kw["max_shard_size"] = max_shard_size
        _by_stock(declined, stock, model, filepath, overwrite, **kw)

    return save_weights


def _targets() -> Iterator[tuple[Any, str, Any]]:
    """What install() replaces: (owner, attribute, maker of the replacement)."""
    import keras

    from kio.keras_private import saving_api

    # Where Keras has no such module, saving_api is keras.saving.
    for owner in dict.fromkeys((keras.saving, keras.models, saving_api)):
        yield owner, "load_model", _replacement_load_model
        yield owner, "save_model", _replacement_save_model
    for owner in dict.fromkeys((keras.saving, saving_api)):
        for name, replacement in (
            ("load_weights", _replacement_model_load_weights),
            ("save_weights", _replacement_save_weights),
        ):
            if hasattr(owner, name):
                yield owner, name, replacement
    yield keras.Model, "load_weights", _replacement_model_load_weights
    yield keras.Model, "save_weights", _replacement_save_weights
    yield keras.Model, "save", _replacement_save_model


def install() -> None:
    """Let Keras's own loading and saving functions run on kio.  Calling it twice is calling it once."""
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
