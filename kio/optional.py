"""Packages that kio does without until somebody asks for what they do: which are here, which extra brings them.

Nothing here imports Keras, and nothing is imported to look whether it is here, unless a caller asks for that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

from kio.errors import MissingDependencyError, UnsupportedError

# What each backend imports beside Keras.  NumPy's convolves with jax and has SciPy's linear algebra.
BACKENDS = {
    "jax": ("jax", "jaxlib"),
    "torch": ("torch",),
    "tensorflow": ("tensorflow",),
    "numpy": ("scipy", "jax", "jaxlib"),
}
# Where a model computes, and where one is only looked at: numpy's arrays take no device.
COMPUTES = ("jax", "torch", "tensorflow", "numpy")
LOOKS = ("numpy", "torch", "tensorflow", "jax")

# Package -> the extra of kio-weights that brings it.  Keras alone would lack a backend.
EXTRAS = {
    "keras": "jax",
    "jax": "jax",
    "jaxlib": "jax",
    "scipy": "jax",
    "torch": "torch",
    "tensorflow": "tensorflow",
    "ml_dtypes": "keras",
}


def present(package: str) -> bool:
    """Whether the package is installed; it is not imported."""
    try:
        return find_spec(package) is not None
    except ValueError:  # None in sys.modules: its import is forbidden
        return False


def importable(backend: str, *, try_it: bool = False) -> bool:
    """Whether all that a backend of Keras imports is here.

    Args:
        backend: A key of ``BACKENDS``.
        try_it: Import it, too: an installation can be broken.  Keras imports the same next.
    """
    if not all(present(package) for package in BACKENDS[backend]):
        return False
    if try_it:
        try:
            for package in BACKENDS[backend]:
                import_module(package)
        except Exception:  # whatever a broken installation raises: jax has a RuntimeError for another jaxlib
            return False
    return True


def suggest_backend(order: Iterable[str]) -> None:
    """Set ``KERAS_BACKEND`` to the first backend that is installed, if nobody has set it.  Imports nothing.

    Keras's own file of settings names a backend as well, which Keras wrote itself and which need not be here.
    """
    if "KERAS_BACKEND" not in os.environ:
        for name in order:
            if importable(name):
                os.environ["KERAS_BACKEND"] = name
                return


def choose_backend(purpose: str, order: Iterable[str]) -> str:
    """Have Keras run on the backend that ``KERAS_BACKEND`` names, else on the first that can be imported.

    Args:
        purpose: What needs it: ``"kio demo"``.
        order: Keys of ``BACKENDS``.

    Returns:
        The name of the backend.

    Raises:
        MissingDependencyError: without Keras, without the backend named, or without any.
        UnsupportedError: if ``KERAS_BACKEND`` names none that kio fills.
    """
    keras = sys.modules.get("keras")
    if keras is not None:  # its backend is chosen already
        return str(keras.backend.backend())
    if not present("keras"):
        raise MissingDependencyError("Keras and a backend", "jax", purpose)
    named = os.environ.get("KERAS_BACKEND")
    if named is None:
        named = next((name for name in order if importable(name, try_it=True)), None)
        if named is None:
            raise MissingDependencyError("a backend of Keras (jax, torch or tensorflow)", "jax", purpose)
        os.environ["KERAS_BACKEND"] = named
    elif named not in BACKENDS:
        raise UnsupportedError(f"KERAS_BACKEND: expected one of {', '.join(BACKENDS)}, found {named!r}")
    elif not importable(named, try_it=True):
        raise _backend_missing(named, purpose)
    return named


def _backend_missing(backend: str, purpose: str) -> MissingDependencyError:
    """What to install for the backend that Keras is set to; what else would do is said as well."""
    others = [name for name in COMPUTES if name != backend and importable(name)]
    if not others and "KERAS_BACKEND" not in os.environ:
        return MissingDependencyError("a backend of Keras (jax, torch or tensorflow)", "jax", purpose)
    away = [package for package in BACKENDS[backend] if not present(package)]
    package = away[0] if away else f"a {backend} that can be imported"
    return MissingDependencyError(
        f"{package}, as Keras is set to {backend}",
        EXTRAS[BACKENDS[backend][0]],
        purpose,
        f"or set KERAS_BACKEND={others[0]}, which is installed" if others else None,
    )


@contextmanager
def needed(purpose: str) -> Iterator[None]:
    """Turn the missing of an optional package, wherever it is imported inside, into what to install.

    Args:
        purpose: What needs it: ``"kio plan"``.

    Raises:
        MissingDependencyError: for a package of ``EXTRAS`` that is not here or cannot be imported.
    """
    try:
        yield
    except MissingDependencyError:
        raise
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        # A name that Keras lacks is a fault of versions, not of what is installed.
        if package not in EXTRAS or (package == "keras" and present("keras")):
            raise
        if package != "keras" and present("keras"):
            # The variable names it, or Keras's file of settings, or it is Keras's default.
            backend = os.environ.get("KERAS_BACKEND") or next((b for b in COMPUTES if package in BACKENDS[b]), None)
            if backend in BACKENDS and package in BACKENDS[backend]:
                raise _backend_missing(backend, purpose) from error
        what = "Keras and a backend" if package == "keras" else package
        raise MissingDependencyError(what, EXTRAS[package], purpose) from error
