"""What a user asked for: which variables, under which names.  What matches nothing is an error.

A pattern of ``include`` or ``exclude``, or a key of ``rename``, that matches nothing is a typo:
it is refused with the nearest names.  What it was compared with is remembered on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from kio.errors import MatchError, shown

Rename = Mapping[str, str] | Callable[[str], str] | None
Patterns = str | Iterable[str] | None

_SEARCHED = 5000  # names that are compared for a suggestion
_NEAR = 3


def nearest(text: str, names: Iterable[str]) -> str:
    """``"nearest is 'encoder_1', 'decoder'"``, or what there is where nothing is near."""
    known: dict[str, None] = {}
    for name in names:
        while name and name not in known:
            known[name] = None
            name = name.rpartition("/")[0]
        if len(known) > _SEARCHED:
            break
    wanted = text.rstrip("*").rstrip("/") or text
    near = get_close_matches(wanted, known, n=_NEAR, cutoff=0.5)
    if not near:
        # A name without those above it.
        by_tail = {name.rpartition("/")[2]: name for name in known}
        near = [by_tail[tail] for tail in get_close_matches(wanted.rpartition("/")[2], by_tail, n=_NEAR, cutoff=0.6)]
    if near:
        return f"nearest {'is' if len(near) == 1 else 'are'} {', '.join(repr(shown(name)) for name in near)}"
    some = [name for name in known if "/" not in name][:_NEAR]
    return f"there are {', '.join(repr(shown(name)) for name in some)} …" if some else "there is nothing"


def _hits(pattern: str, spellings: Sequence[str]) -> bool:
    return any(fnmatchcase(s, pattern) or s == pattern or s.startswith(pattern.rstrip("/") + "/") for s in spellings)


class Chooser:
    """Says whether a variable, given all its spellings, takes part.

    Raises:
        MatchError: if ``include`` is an empty list: nothing would be loaded.
    """

    def __init__(self, include: Patterns, exclude: Patterns) -> None:
        self.wanted = None if include is None else [include] if isinstance(include, str) else list(include)
        self.unwanted = [exclude] if isinstance(exclude, str) else list(exclude or ())
        if self.wanted is not None and not self.wanted:
            raise MatchError("include: expected a pattern, found an empty list, which asks for nothing")
        self._unmet = [("include", p) for p in self.wanted or ()] + [("exclude", p) for p in self.unwanted]
        self._seen: dict[str, None] = {}

    def __call__(self, *spellings: str) -> bool:
        if self._unmet:
            self._seen.update(dict.fromkeys(spellings))
            self._unmet = [each for each in self._unmet if not _hits(each[1], spellings)]
        return (self.wanted is None or any(_hits(p, spellings) for p in self.wanted)) and not any(
            _hits(p, spellings) for p in self.unwanted
        )

    def check(self, stored: Iterable[str]) -> None:
        """Refuse patterns that matched nothing.

        Args:
            stored: Names in the file: what is left out may be there alone.

        Raises:
            MatchError: naming the pattern and what is nearest.
        """
        if not self._unmet:
            return
        names = list(stored)
        for what, pattern in self._unmet:
            if what == "exclude" and any(_hits(pattern, (name,)) for name in names):
                continue
            raise MatchError(
                f"{what}: expected a pattern that matches a variable of the model, found {shown(repr(pattern))}, "
                f"which matches none; {nearest(pattern, self._seen)}"
            )


class Renamer:
    """A function from a key of the model to the key in the file.

    A mapping's keys are whole names, leading parts of paths (``"layers/dense"`` also moves
    ``"layers/dense/vars/0"``), or globs with one ``*`` on each side; each must match something.
    A function may find nothing to do: what it returns is looked for like any other name.
    """

    def __init__(self, rename: Mapping[str, str] | Callable[[str], str]) -> None:
        self._function = rename if callable(rename) else None
        table: Mapping[str, str] = {} if callable(rename) else rename
        self._exact = {old: new for old, new in table.items() if "*" not in old}
        self._globs = [(old, old.partition("*"), new.partition("*")) for old, new in table.items() if "*" in old]
        self._unmet = list(table)
        self._seen: dict[str, None] = {}

    def __call__(self, name: str) -> str:
        if self._function is not None:
            return self._function(name)
        if self._unmet:
            self._seen[name] = None
            self._unmet = [key for key in self._unmet if not self._matches(key, name)]
        return self._mapped(name)

    def _matches(self, key: str, name: str) -> bool:
        if "*" not in key:
            return name == key or name.startswith(key + "/")
        head, _, tail = key.partition("*")
        return name.startswith(head) and name.endswith(tail) and len(name) >= len(head) + len(tail)

    def _mapped(self, name: str) -> str:
        cut = len(name)
        while cut > 0:
            new = self._exact.get(name[:cut])
            if new is not None:
                return new + name[cut:]
            cut = name.rfind("/", 0, cut)
        for old, (head, _, tail), (new_head, _, new_tail) in self._globs:
            if self._matches(old, name):
                return new_head + name[len(head) : len(name) - len(tail)] + new_tail
        return name

    def meet(self, names: Iterable[str]) -> None:
        """Names that exist as well, whatever becomes of them."""
        for name in names:
            self(name)

    def check(self, what: str) -> None:
        """Refuse keys that matched nothing.

        Args:
            what: That they should have matched, for people: ``"a layer of the model"``.

        Raises:
            MatchError: naming the key and what is nearest.
        """
        for key in self._unmet:
            raise MatchError(
                f"rename: expected keys that match {what}, found {shown(repr(key))}, which matches nothing; "
                f"{nearest(key, self._seen)}"
            )


def _patterns(given: str | Iterable[str] | None) -> Patterns:
    return given if given is None or isinstance(given, str) else tuple(given)


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a model is loaded, and what it is called in the file: made at the front door, passed on whole.

    Attributes:
        include, exclude: Globs over paths of variables and stored names; None: all.
        rename: From keys of the model to keys in the file: a function, or a mapping.
        by_name: Take all names at their word.
        skip: Objects of the model to leave alone; opaque here.
        partial: The model takes a part of the file: layers of it may stay unused.
        original_backend: What the file was written on, whatever it says itself.
        whole: The model was made for this file: its names are the file's, and what belongs to a model beside its
            weights (optimizer, assets) is restored, too.  It has no values yet, and is thrown away if the load fails.
    """

    include: Patterns = None
    exclude: Patterns = None
    rename: Rename = None
    by_name: bool = False
    skip: Iterable[Any] = ()
    partial: bool = False
    original_backend: str | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        # An iterator can be asked once only.
        object.__setattr__(self, "include", _patterns(self.include))
        object.__setattr__(self, "exclude", _patterns(self.exclude))
        object.__setattr__(self, "skip", tuple(self.skip))

    @property
    def part(self) -> bool:
        """Whether a part of the file is enough: what it holds beyond that is no surprise."""
        return self.partial or self.by_name or self.include is not None or bool(self.exclude)

    def chooser(self) -> Chooser | None:
        """Says which variables take part; None where all do.

        Raises:
            MatchError: if ``include`` is an empty list: nothing would be loaded.
        """
        return None if self.include is None and not self.exclude else Chooser(self.include, self.exclude)

    def renamer(self) -> Renamer | None:
        """Gives the key in the file; None where nothing is renamed."""
        return renamer(self.rename)


EVERYTHING = Selection()


def renamer(rename: Rename) -> Renamer | None:
    """The function, or None where nothing is renamed."""
    return Renamer(rename) if rename else None
