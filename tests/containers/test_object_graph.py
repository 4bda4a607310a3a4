"""Object graphs of TensorFlow checkpoints, and with them the walker of protocol buffers."""

from __future__ import annotations

import random

import pytest

from kio.containers import sstable
from kio.containers.object_graph import ObjectGraph
from kio.errors import CorruptError, FormatError, LimitError, TruncatedError
from kio.limits import Limits
from kio.raw.source import Source
from tests.conftest import real
from tests.containers.protos import blob, fields, fixed32, number
from tests.containers.tables import varint


def child(node: int, name: str) -> bytes:
    return blob(1, number(1, node), blob(2, name))


def attribute(name: str, full_name: str, key: str) -> bytes:
    return blob(2, blob(1, name), blob(2, full_name), blob(3, key))


def slot(original: int, name: str, node: int) -> bytes:
    return blob(3, number(1, original), blob(2, name), number(3, node))


def graph(*nodes: bytes, **limits: int) -> ObjectGraph:
    return ObjectGraph(Source.of_bytes(b"".join(blob(1, node) for node in nodes), "graph"), Limits(**limits))


VALUE = "VARIABLE_VALUE"


def test_all_of_a_graph():
    found = graph(
        child(1, "layer") + child(2, "optimizer") + child(0, "self"),
        child(3, "kernel") + child(3, "tied"),
        slot(3, "m", 4) + slot(3, "v", 0),
        attribute(VALUE, "dense/kernel", "layer/kernel/.ATTRIBUTES/VARIABLE_VALUE") + blob(5, number(1, 1)),
        attribute(VALUE, "", "k") + attribute("py_state", "", "p") + blob(4, blob(1, "saver"), blob(2, "object")),
    )
    assert len(found) == 5
    assert found.children(0) == {"layer": 1, "optimizer": 2, "self": 0} and found.children(3) == {}
    assert found.children(1) == {"kernel": 3, "tied": 3}
    assert found.attributes(3) == {VALUE: ("dense/kernel", "layer/kernel/.ATTRIBUTES/VARIABLE_VALUE")}
    assert found.attributes(4) == {VALUE: ("", "k"), "py_state": ("", "p")} and found.attributes(0) == {}
    assert found.slots(2) == [(3, "m", 4), (3, "v", 0)] and found.slots(0) == []
    assert found.saver(4) == ("saver", "object") and found.saver(0) is None


def test_unknown_fields_are_passed_over():
    more = number(9, 5) + blob(10, b"\xff") + fixed32(11, 7) + varint(12 << 3 | 1) + bytes(8)
    found = graph(more + child(0, "a") + more)
    assert found.children(0) == {"a": 0} and found.attributes(0) == {}


def test_a_node_that_is_not_there():
    with pytest.raises(IndexError):
        graph(b"").children(1)


BAD = {
    "empty": (b"", CorruptError, "no node"),
    "no node": (number(2, 5), CorruptError, "no node"),
    "node of number": (number(1, 5), CorruptError, "expected bytes"),
    "node beyond the end": (varint(10) + varint(9) + b"abc", CorruptError, "at most 3 bytes"),
    "node of 2**64 bytes": (varint(10) + varint(2**64 - 1), CorruptError, "at most 0 bytes"),
    "tag cut": (b"\x80", TruncatedError, "structure"),
    "field 0": (b"\0\0", CorruptError, "field number"),
    "field above 2**29": (varint(2**29 << 3), CorruptError, "field number"),
    "group": (varint(2 << 3 | 3), CorruptError, "wire type"),
    "wire 7": (varint(2 << 3 | 7), CorruptError, "wire type"),
    "endless varint": (varint(16) + b"\xff" * 11, CorruptError, "varint"),
    "child that is not there": (blob(1, child(1, "a")), CorruptError, "below 1"),
    "child of 2**64 - 1": (blob(1, child(2**64 - 1, "a")), CorruptError, "below 1"),
    "two children of one name": (blob(1, child(0, "a") + child(0, "a")), CorruptError, "once"),
    "child with two nodes": (blob(1, blob(1, varint(8) + b"\0", varint(8) + b"\0")), CorruptError, "once"),
    "child with two names": (blob(1, blob(1, blob(2, "a"), blob(2, "b"))), CorruptError, "once"),
    "child of bytes": (blob(1, blob(1, blob(1, "a"))), CorruptError, "expected a number"),
    "name of number": (blob(1, blob(1, number(2, 7))), CorruptError, "expected bytes"),
    "name of other bytes": (blob(1, blob(1, blob(2, b"\xff\xfe"))), CorruptError, "UTF-8"),
    "two attributes of one name": (blob(1, attribute("a", "", "k") + attribute("a", "", "l")), CorruptError, "once"),
    "attribute with two keys": (blob(1, blob(2, blob(3, "a"), blob(3, "b"))), CorruptError, "once"),
    "slot of no variable": (blob(1, slot(3, "m", 0)), CorruptError, "below 1"),
    "slot in no variable": (blob(1, slot(0, "m", 9)), CorruptError, "below 1"),
    "saver with two names": (blob(1, blob(4, blob(1, "a"), blob(1, "b"))), CorruptError, "once"),
}


def walk(data: bytes, **limits: int) -> None:
    found = ObjectGraph(Source.of_bytes(data, "graph"), Limits(**limits))
    for node in range(len(found)):
        found.children(node), found.attributes(node), found.slots(node), found.saver(node)


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    data, error, words = BAD[case]
    with pytest.raises(error, match=words):
        walk(data)


def test_limits():
    with pytest.raises(LimitError, match=r"limits\.config_nodes=2"):
        graph(b"", b"", b"", config_nodes=2)
    assert len(graph(b"", b"", config_nodes=2)) == 2
    with pytest.raises(LimitError, match=r"limits\.name_bytes=3"):
        graph(child(0, "long"), name_bytes=3).children(0)


def test_damage_is_a_format_error_or_another_graph():
    dice = random.Random(5)
    data = b"".join(
        blob(1, child(n, f"c{n}") + attribute(VALUE, f"v{n}", f"k{n}") + slot(n, "m", 9 - n)) for n in range(10)
    )
    for _ in range(3000):
        damaged = bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            damaged[dice.randrange(len(data))] = dice.randrange(256)
        try:
            walk(bytes(damaged[: dice.choice([len(data), dice.randrange(len(data))])]))
        except FormatError as error:
            assert str(error).isprintable()


@pytest.mark.skipif(real() is None, reason="the real files are not at hand")
def test_real_graphs():
    graphs = 0
    for path in sorted(real().rglob("*.index")):
        entries = dict(sstable.Table(Source.open(path)))
        entry = dict(fields(entries.get(b"_CHECKPOINTABLE_OBJECT_GRAPH", b"")))
        shard = path.with_name(path.name.replace(".index", ".data-00000-of-00001"))
        if not entry or not shard.exists():
            continue
        stored = shard.read_bytes()[entry.get(4, 0) :][: entry[5]]
        # One string: the varint of its length, four bytes of checksum, the text.
        at = next(i for i, byte in enumerate(stored) if byte < 128) + 1
        data = stored[at + 4 :]
        found = ObjectGraph(Source.of_bytes(data, "graph"))
        nodes = [value for n, value in fields(data) if n == 1]
        assert len(found) == len(nodes)
        keys = set()
        for node, text in enumerate(nodes):
            parts = [(n, dict(fields(part))) for n, part in fields(text) if n in (1, 2, 3)]
            children = {part.get(2, b"").decode(): part.get(1, 0) for n, part in parts if n == 1}
            assert found.children(node) == children
            expected = {p[1].decode(): (p.get(2, b"").decode(), p.get(3, b"").decode()) for n, p in parts if n == 2}
            assert found.attributes(node) == expected
            slots = [(p.get(1, 0), p.get(2, b"").decode(), p.get(3, 0)) for n, p in parts if n == 3]
            assert found.slots(node) == slots
            keys |= {key.encode() for _, key in expected.values()}
        # A table's attribute stands for two keys.
        assert all(key in entries or key + b"-keys" in entries for key in keys)
        graphs += 1
    assert graphs > 20
