"""The text of a model's configuration, or the same parsed: measured, then believed to be JSON.

How deep it is and how many values it has is known before any object is made of it.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from kio.containers import json_text
from kio.errors import CorruptError, FormatError, LimitError, UnsupportedError, shown
from kio.limits import DEFAULT, Limits

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_config(text: str | bytes, limits: Limits = DEFAULT) -> dict[str, Any]:
    """Parse the JSON of a configuration strictly.

    Raises:
        CorruptError: for anything but one JSON object in UTF-8 without duplicate keys,
            NaN or lone surrogates.
        LimitError: if it is too long, too deep, or has too many values.
        UnsupportedError: if it is deeper than Python can parse.
    """
    check_text(text, limits)
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        if text.startswith("\ufeff"):
            raise CorruptError("model config: expected JSON in UTF-8, found a byte order mark")
        with recursion():
            tree = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
            # Only an escape can spell half a character in valid UTF-8.
            (json.dumps(tree, ensure_ascii=False) if _SURROGATE.search(text) else text).encode("utf-8")
    except FormatError:
        raise
    except UnicodeError as error:
        raise CorruptError(f"model config: expected JSON in UTF-8, found {shown(str(error))}") from None
    except ValueError as error:
        raise CorruptError(f"model config: expected JSON, found {shown(str(error))}") from None
    if not isinstance(tree, dict):
        raise CorruptError(f"model config: expected a JSON object, found {shown(type(tree).__name__)}")
    return tree


def check_text(text: str | bytes, limits: Limits) -> None:
    """Refuse a text that is too long, too deep, or has too many values; nothing is parsed.

    Raises:
        LimitError: naming the limit.
    """
    nbytes = len(text)
    if nbytes > limits.config_bytes:
        raise LimitError(
            f"model config: expected at most limits.config_bytes={limits.config_bytes} bytes, found {nbytes}",
            field="config_bytes",
        )
    depth, nodes = json_text.measure(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    if depth > limits.config_depth:
        raise _too_deep(limits, depth)
    # Names in objects were counted, too.
    if nodes > 2 * limits.config_nodes:
        raise _too_many(limits, nodes // 2)


def check_tree(tree: Mapping[str, Any], limits: Limits) -> None:
    """The same for a configuration that was parsed by somebody else; it may even contain itself.

    Args:
        tree: A ``Mapping``.

    Raises:
        LimitError: naming the limit.
    """
    nodes = 1
    level: list[Any] = [tree]
    for _ in range(limits.config_depth):
        below: list[Any] = []
        for each in level:
            values = each.values() if isinstance(each, Mapping) else each
            nodes += len(values)
            if nodes > limits.config_nodes:
                raise _too_many(limits, nodes)
            below += [value for value in values if isinstance(value, (Mapping, list, tuple))]
        if not below:
            return
        level = below
    raise _too_deep(limits, None)


def _too_deep(limits: Limits, found: int | None) -> LimitError:
    return LimitError(
        f"model config: expected at most limits.config_depth={limits.config_depth} levels, found {found or 'more'}",
        field="config_depth",
    )


def _too_many(limits: Limits, found: int) -> LimitError:
    return LimitError(
        f"model config: expected at most limits.config_nodes={limits.config_nodes} values, found about {found}",
        field="config_nodes",
    )


@contextlib.contextmanager
def recursion() -> Iterator[None]:
    """What a user can do where a configuration that ``limits`` allow is too deep for Python.

    Raises:
        UnsupportedError: in the place of a RecursionError.
    """
    try:
        yield
    except RecursionError:
        raise UnsupportedError(
            f"model config: expected one that Python can read within {sys.getrecursionlimit()} nested calls, "
            "found a deeper one",
            hint="allow more before: sys.setrecursionlimit(…)",
        ) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise CorruptError(f"model config: expected unique keys, found {shown(double)} twice")
    return found


def _constant(token: str) -> float:
    if token == "NaN":
        raise CorruptError("model config: expected numbers, found NaN")
    return float(token)
