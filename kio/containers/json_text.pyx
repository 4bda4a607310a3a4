"""JSON documents of files nobody vouches for.

``json.loads`` alone takes what RFC 8259 forbids or leaves open, and each of those makes
two readers see two documents: duplicate keys, NaN, a byte order mark, lone surrogates.
It also recurses and allocates as the text asks, so depth and number of values are
counted before it runs.

Spec: RFC 8259; RFC 7493 (I-JSON), sections 2.1 to 2.3.
"""

import json
import math

from kio.errors import CorruptError, LimitError
from kio.limits import DEFAULT

from libc.stdint cimport uint8_t


def parse(data, str source, limits=DEFAULT):
    """The value of a JSON document.

    Args:
        data: The document, UTF-8 bytes.
        source: Name of the file, for messages.
        limits: Caps; ``config_bytes``, ``config_depth`` and ``config_nodes`` matter here.

    Returns:
        The value: dict, list, str, int, float, bool or None.

    Raises:
        LimitError: for a document that is too long, too deep or has too many values.
        CorruptError: for anything but strict JSON in UTF-8: a byte order mark, duplicate
            keys, NaN or infinity, a number beyond what a float or int holds, surrogates.

    Memory: at most 64 bytes a value, and the text once more.
    """
    text = parse_text(data, source, limits)
    cdef Counts counts = _scan(data)
    for field, found in (("config_depth", counts.depth), ("config_nodes", counts.nodes)):
        if found > getattr(limits, field):
            raise LimitError(f"JSON document: expected at most limits.{field}={getattr(limits, field)}, "
                             f"found {found}", source=source, field=field)
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)
        if "\\u" in text:
            # An escape can spell half a surrogate pair, which no UTF-8 can.
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise CorruptError(f"JSON document: expected strict JSON, found {error.msg} at character "
                           f"{error.pos}", source=source) from None
    except UnicodeEncodeError:
        raise CorruptError("JSON document: expected Unicode text, found a lone surrogate",
                           source=source) from None
    except ValueError as error:
        raise CorruptError(f"JSON document: expected strict JSON, found {error}", source=source) from None
    return value


def parse_text(data, str source, limits=DEFAULT):
    """The text of a JSON document, not looked into.

    Raises:
        LimitError: for more than ``config_bytes``.
        CorruptError: for bytes that are not UTF-8, or start with a byte order mark.
    """
    if len(data) > limits.config_bytes:
        raise LimitError(f"JSON document: expected at most limits.config_bytes={limits.config_bytes} "
                         f"bytes, found {len(data)}", source=source, field="config_bytes")
    if data[:3] == b"\xef\xbb\xbf":
        raise CorruptError("JSON document: expected no byte order mark, found one", source=source, offset=0)
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise CorruptError(f"JSON document: expected UTF-8, found {error.reason}", source=source,
                           offset=error.start) from None


def measure(const uint8_t[::1] text):
    """Depth and number of values of a JSON document, names in objects included; nothing is parsed.

    Args:
        text: UTF-8; of what is no JSON the numbers may be too large.

    Cost: one pass.  Memory: none.
    """
    cdef Counts counts = _scan(text)
    return counts.depth, counts.nodes


cdef struct Counts:
    size_t depth                 # deepest nesting of arrays and objects
    size_t nodes                 # brackets opened, and commas and colons between


cdef Counts _scan(const uint8_t[::1] text) noexcept:
    """Depth and number of values, or more than that for a text that is not JSON."""
    cdef Counts counts = Counts(0, 1)
    cdef size_t i = 0, n = text.shape[0], depth = 0
    cdef uint8_t byte
    cdef bint inside = False
    while i < n:
        byte = text[i]
        if inside:
            if byte == b"\\":
                i += 1
            elif byte == b'"':
                inside = False
        elif byte == b'"':
            inside = True
        elif byte == b"[" or byte == b"{":
            depth += 1
            counts.nodes += 1
            counts.depth = max(counts.depth, depth)
        elif byte == b"]" or byte == b"}":
            depth -= depth > 0
        elif byte == b"," or byte == b":":
            counts.nodes += 1
        i += 1
    return counts


def _unique(pairs):
    value = dict(pairs)
    if len(value) != len(pairs):
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:80]!r} twice in one object")
            seen.add(key)
    return value


def _constant(name):
    raise ValueError(name)


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:80]}")
    return value
