"""Every error kio raises itself.  ``OSError`` is never wrapped.

A message always has the form
``<what>: expected <x>, found <y> (<file>!<member>, tensor <name>, byte 0x…)``
and, where there is one, ends with the way on.
"""

from __future__ import annotations

from typing import Any

# Longer values of a hostile file are cut before they reach a terminal or a log.
_SHOWN = 200


def shown(value: object) -> str:
    """``value`` as printable text of at most a few hundred characters."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: 2 * _SHOWN])
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


class KioError(Exception):
    """Base class of every error that kio raises itself.  It can travel between processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Not through the constructors: they make the message, which is made already.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(cls: type[KioError], args: tuple[Any, ...], state: dict[str, Any]) -> KioError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class FormatError(KioError, ValueError):
    """The input is not what it claims to be, or not something kio reads.

    Args:
        what: What was looked at and what was found, e.g.
            ``"superblock version: expected 0 to 3, found 9"``.
        source: Name of the file, with ``!member`` for a file in a file.
        tensor: Name of the tensor concerned.
        offset: Byte offset in ``source`` at which the trouble was seen.
        field: Name of the field in the specification of the format.
        hint: What the user can do about it.

    Attributes:
        source, member, tensor, offset, field: As above; None where unknown.
    """

    def __init__(
        self,
        what: str,
        *,
        source: str | None = None,
        tensor: str | None = None,
        offset: int | None = None,
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        where = []
        if source is not None:
            where.append(shown(source))
        if tensor is not None:
            where.append(f"tensor {shown(tensor)}")
        if offset is not None:
            where.append(f"byte {offset:#x}")
        text = what if len(what) <= 1500 else what[:1499] + "…"
        if where:
            text += f" ({', '.join(where)})"
        if hint:
            text += f"; {hint}"
        super().__init__(text)
        self.source = source
        self.member = source.split("!", 1)[1] if source and "!" in source else None
        self.tensor = tensor
        self.offset = offset
        self.field = field


class UnknownFormatError(FormatError):
    """Nothing kio knows claims this input; the message lists what was tried."""


class CorruptError(FormatError):
    """Structure or bounds contradict the format."""


class TruncatedError(CorruptError):
    """The input ends before the structure that it announces."""


class ChecksumError(CorruptError):
    """Stored and computed checksum differ."""


class ChangedError(FormatError):
    """The file is not the one that was opened: it was replaced or written to since."""


class UnsupportedError(FormatError, NotImplementedError):
    """Valid, but a feature that kio does not read; the message names it."""


class ForeignFormatError(UnsupportedError):
    """A kind of input that kio knows by sight and leaves to other tools."""


class LimitError(FormatError):
    """Reading on would exceed a field of ``kio.Limits``; the message says which, and how to increase it.

    Args:
        what: As for ``FormatError``.
        field: Name of the field of ``kio.Limits``.
        hint: What else is worth knowing, or could be done instead.
        where: ``source``, ``tensor`` and ``offset``, as for ``FormatError``.

    Attributes:
        field: As above.
    """

    field: str

    def __init__(self, what: str, *, field: str, hint: str | None = None, **where: Any) -> None:
        way = f"if this is meant, increase the limit: limits=kio.Limits({field}=…)"
        super().__init__(what, field=field, hint=f"{hint}; {way}" if hint else way, **where)


class MatchError(KioError, ValueError):
    """File and model do not agree.  Nothing was changed.

    Attributes:
        plan: The ``Plan`` with ``missing``, ``unexpected`` and ``mismatched``, as plain data.
    """

    def __init__(self, what: str, *, plan: Any = None) -> None:
        super().__init__(what)
        # Whoever keeps the error keeps neither the file open nor the model alive.
        self.plan = None if plan is None else plan.described()


class UnknownNameError(KioError, KeyError):
    """The file holds nothing of this name; the message says what is nearest."""

    # A KeyError shows its message in quotes.
    __str__ = Exception.__str__


class UnsafeError(KioError, ValueError):
    """Loading needs code from the file, which ``safe_mode`` forbids."""


class MissingDependencyError(KioError, ImportError):
    """An optional package is needed; the message names the extra to install.

    Args:
        package: What is missing.
        extra: The extra of the distribution that brings it.
        purpose: What needs it.
        otherwise: What helps as well.
    """

    def __init__(self, package: str, extra: str, purpose: str, otherwise: str | None = None) -> None:
        text = f'{purpose} needs {package}: pip install "kio-weights[{extra}]"'
        super().__init__(f"{text}, {otherwise}" if otherwise else text)
