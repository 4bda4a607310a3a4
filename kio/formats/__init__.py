"""Every format kio knows, in the order in which they are asked; those of other distributions after them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

from kio import plugins
from kio.checkpoint import Checkpoint
from kio.errors import UnknownFormatError, shown
from kio.formats.format import Format, Held
from kio.formats.probe import Probe
from kio.limits import DEFAULT, Limits

# One line a format: the module's name, which is also the format's.  Order matters only
# between formats that could claim the same input; ``refused`` claims what is known but
# not read, so it comes last.
ORDER = (
    "keras_archive",
    "keras_h5",
    "keras_weights",
    "keras_shards",
    "npz",
    "safetensors",
    "tf_checkpoint",
    "refused",
)


def formats() -> Iterator[Format]:
    """The formats, in order."""
    for name in ORDER:
        yield import_module(f"kio.formats.{name}").FORMAT


def outside() -> list[Format]:
    """The formats of other distributions: their entry points ``kio.formats``, each a ``Format`` of that name."""
    return list(plugins.every("kio.formats", ORDER, _accepted).values())


def _accepted(name: str, found: Any) -> Format:
    if not isinstance(found, Format):
        raise TypeError(f"expected a kio.formats.format.Format, found {type(found).__name__}")
    if found.name != name:
        raise ValueError(f"expected a format of that name, found {shown(found.name)}")
    own = {suffix for each in written() for suffix in each.suffixes}
    if not own.isdisjoint(found.suffixes):
        raise ValueError(f"expected suffixes that kio does not write, found {', '.join(found.suffixes)}")
    return found


def _claimant(probe: Probe) -> Format | None:
    """The format that opens an input: kio's own, then one of others; what kio refuses, others may read."""
    own = next((each for each in formats() if each.claims(probe)), None)
    if own is not None and own.name != "refused":
        return own
    for each in outside():
        try:
            if each.claims(probe):
                return each
        except Exception as error:
            warnings.warn(f"format {each.name} could not look at {shown(probe.name)}: {error!r}", stacklevel=2)
    return own


def open_checkpoint(what: Any, limits: Limits = DEFAULT, *, mmap: bool = False) -> Checkpoint:
    """Open a checkpoint by its content; the name's suffix decides nothing.

    Args:
        what: A path, ``os.PathLike``, bytes, an open binary file, a ``Source``, or an
            ``h5py.File`` or ``Group``.
        limits: Caps on what is not trusted.
        mmap: Map a file given by its path, so that tensors are views.

    Returns:
        The Checkpoint, its tensors not read yet.

    Raises:
        FormatError: if nothing claims the input (UnknownFormatError), it is damaged, or
            asks for more than ``limits`` allow.
        OSError: as the system reports it.

    Reads: metadata only.
    """
    probe = Probe(what, limits, mmap=mmap)
    try:
        probe.look()
        claimant = _claimant(probe)
        if claimant is None:
            known = ", ".join([*ORDER, *(each.name for each in outside())])
            raise UnknownFormatError(f"format: expected one of {known}, found {probe.described()}", source=probe.name)
        again = probe.again
        checkpoint = claimant.open(probe)
        if again is not None:
            checkpoint.opened_by(partial(open_checkpoint, again, limits, mmap=mmap))
        checkpoint.limits = limits
        return checkpoint
    except BaseException:
        probe.close()
        raise


@contextlib.contextmanager
def opened(source: Any, limits: Limits | None = None) -> Iterator[Checkpoint]:
    """A checkpoint for the time of a call: the caller's own stays open, any other input is opened and closed."""
    if isinstance(source, Checkpoint):
        yield source
        return
    with open_checkpoint(source, limits or DEFAULT) as checkpoint:
        yield checkpoint


def written(holds: Held | None = None) -> list[Format]:
    """The formats that kio writes, in order.

    Args:
        holds: Only those that can hold this; None for all.
    """
    return [each for each in formats() if each.create is not None and (holds is None or holds in each.holds)]


def suffixes(among: Iterable[Format] | None = None) -> list[tuple[str, Format]]:
    """What a path's end says about the format to write; the first that fits counts.

    Args:
        among: The formats that will do; None for all that kio writes.
    """
    found = [(suffix, each) for each in (written() if among is None else among) for suffix in each.suffixes]
    # ".weights.h5" before ".h5".
    return sorted(found, key=lambda row: -row[0].count("."))


def format_named(name: str) -> Format:
    """The format that a user names: by its own name, or by the suffix that it is written with.

    Raises:
        UnknownFormatError: if kio writes no such format.
    """
    own = _called(name, written())
    if own is not None:
        return own
    found = _called(name, _written_outside())
    if found is None:
        spelled = ", ".join(suffix.lstrip(".") for suffix, _ in reversed(suffixes()))
        raise UnknownFormatError(f"format to write: expected one of {spelled}, found {shown(name)}")
    return found


def _written_outside() -> list[Format]:
    return [each for each in outside() if each.create is not None]


def _called(name: str, among: list[Format]) -> Format | None:
    spelled = {suffix.lstrip("."): each for suffix, each in reversed(suffixes(among))}
    return spelled.get(name.lstrip(".")) or {each.name: each for each in among}.get(name)


def format_of_path(path: str, fits: Callable[[Format], bool] | None = None) -> Format:
    """The format that a path's suffix asks for.

    Args:
        path: Of the file to write.
        fits: Whether a format will do; None for all that are written.

    Raises:
        UnknownFormatError: for any other suffix; lists those that are known.
    """
    allowed = suffixes([each for each in written() if fits is None or fits(each)])
    for suffix, found in allowed:
        if path.endswith(suffix):
            return found
    for suffix, found in suffixes(_written_outside()):
        if path.endswith(suffix) and (fits is None or fits(found)):
            return found
    raise UnknownFormatError(
        f"suffix: expected one of {', '.join(suffix for suffix, _ in allowed)}, found {shown(path)}",
        hint="pass another path, or name the format (save_format=)",
    )
