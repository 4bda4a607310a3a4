"""One attack a function: a named field of a good HDF5 file is patched, the file must be refused."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from kio.containers import hdf5
from kio.errors import (
    ChecksumError,
    CorruptError,
    FormatError,
    LimitError,
    TruncatedError,
    UnsupportedError,
)
from kio.limits import Limits
from kio.raw.source import Source

from .hdf5_parts import (
    Bounded,
    data_of,
    described,
    good,
    header_of,
    message_of,
    messages_of,
    parse,
    put,
    refused,
    reseal,
    reseal_header,
    use,
)

DATASPACE, DATATYPE, LAYOUT, FILTERS, ATTRIBUTE, CONTINUATION, SYMBOLS = 1, 3, 8, 11, 12, 16, 17
UNDEFINED = 0xFFFFFFFFFFFFFFFF


# ------------------------------------------------------------------ every byte


@pytest.mark.parametrize("libver", [None, "latest"])
def test_truncated_anywhere(libver: str | None) -> None:
    raw = bytes(good(libver))
    for nbytes in range(len(raw)):
        with pytest.raises(FormatError):
            parse(raw[:nbytes])


def test_any_byte_flipped_with_checksums() -> None:
    raw = bytes(good("latest"))
    expected = described(parse(raw))
    for at in range(len(raw)):
        for bit in (0x01, 0x80, 0xFF):
            flipped = bytearray(raw)
            flipped[at] ^= bit
            try:
                file = parse(flipped)
            except FormatError:
                continue
            assert described(file) == expected, f"byte {at:#x} ^ {bit:#x}"


def test_any_byte_flipped_without_checksums() -> None:
    """Version 0 has none: what parses may differ, but never fails otherwise or without bounds."""
    raw = bytes(good())
    for at in range(len(raw)):
        for bit in (0x01, 0x80, 0xFF):
            flipped = bytearray(raw)
            flipped[at] ^= bit
            try:
                use(parse(flipped))
            except FormatError as error:
                assert str(error).isprintable()


def test_any_integer_replaced() -> None:
    raw = bytes(good())
    for at in range(0, len(raw) - 8, 4):
        for value in (0, 1, len(raw) - 1, len(raw), 2**63, UNDEFINED - 1, UNDEFINED):
            patched = bytearray(raw)
            struct.pack_into("<Q", patched, at, value)
            with contextlib.suppress(FormatError):
                use(parse(patched))


# ------------------------------------------------------------------ superblock


def test_not_hdf5() -> None:
    refused(b"PK\3\4" + bytes(5000), CorruptError, "signature")


def test_empty_file() -> None:
    refused(b"", CorruptError, "signature")


def test_superblock_version() -> None:
    refused(put(good(), 8, "B", 9), UnsupportedError, "superblock version: expected 0 to 3, found 9")


def test_size_of_offsets() -> None:
    refused(put(good(), 13, "B", 7), UnsupportedError, "size of offsets")


def test_end_of_file_beyond_file() -> None:
    refused(put(good(), 40, "Q", 1 << 40), TruncatedError, "end of file address")


def test_end_of_file_before_base() -> None:
    raw = put(good(), 24, "Q", 1 << 40)
    refused(raw, CorruptError, "base address")


def test_open_for_writing() -> None:
    raw = good("latest")
    put(raw, 11, "B", 5)
    refused(reseal(raw, 0, 44), UnsupportedError, "open for writing")


def test_driver_information() -> None:
    refused(put(good(), 48, "Q", 800), UnsupportedError, "driver information")


def test_root_is_a_dataset() -> None:
    raw = good()
    refused(put(raw, 64, "Q", header_of(raw, "steps")), CorruptError, "root object")


def test_root_address_undefined() -> None:
    refused(put(good(), 64, "Q", UNDEFINED), CorruptError, "undefined")


# ------------------------------------------------------------------ object headers


def test_header_version() -> None:
    raw = good()
    refused(put(raw, header_of(raw, "steps"), "B", 3), CorruptError, "object header version")


def test_header_beyond_file() -> None:
    raw = good()
    refused(put(raw, header_of(raw, "steps") + 8, "I", 0xFFFFFF00), TruncatedError, "structure")


def test_message_count_too_high() -> None:
    raw = good()
    refused(put(raw, header_of(raw, "steps") + 2, "H", 60000), CorruptError, "messages: expected")


def test_message_beyond_block() -> None:
    raw = good()
    refused(put(raw, message_of(raw, "steps", LAYOUT) - 6, "H", 0xFFF8), CorruptError, "message size")


def test_continuation_loop() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars", CONTINUATION)
    header = header_of(raw, "layers/dense/vars")
    put(raw, header + 2, "H", 1000)
    refused(put(raw, at, "QQ", header, 24), CorruptError, "continuation block: expected no overlap")


def test_continuation_overlapping_itself() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars", CONTINUATION)
    header = header_of(raw, "layers/dense/vars")
    block, nbytes = struct.unpack_from("<QQ", raw, at)
    put(raw, header + 2, "H", 1000)
    put(raw, block, "HHBxxxQQ", CONTINUATION, 16, 0, block + 8, nbytes - 8)
    refused(raw, CorruptError, "continuation block: expected no overlap")


def test_too_many_continuations() -> None:
    """A chain of 100 blocks, each of which holds nothing but the way to the next."""
    raw = good()
    at = message_of(raw, "layers/dense/vars", CONTINUATION)
    header = header_of(raw, "layers/dense/vars")
    chain = len(raw)
    put(raw, at, "QQ", chain, 24)
    put(raw, header + 2, "H", 1000)
    for i in range(100):
        raw += struct.pack("<HHBxxxQQ", CONTINUATION, 16, 0, chain + 24 * (i + 1), 24)
    put(raw, 40, "Q", len(raw))
    refused(raw, CorruptError, "continuation blocks: expected at most 64")


def test_two_layouts() -> None:
    raw = good()
    put(raw, message_of(raw, "steps", 5) - 8, "H", LAYOUT)
    refused(raw, CorruptError, "expected one, found two")


def test_dataset_that_is_a_group() -> None:
    raw = good()
    put(raw, message_of(raw, "steps", 5) - 8, "H", SYMBOLS)
    with pytest.raises(CorruptError):
        parse(raw)


def test_object_of_no_kind() -> None:
    raw = good()
    for kind, at, _ in list(messages_of(raw, header_of(raw, "steps"))):
        if kind:
            put(raw, at - 8, "H", 13)
    refused(raw, CorruptError, "expected messages of a group, dataset or datatype")


def test_unknown_message_that_must_be_understood() -> None:
    raw = good()
    put(raw, message_of(raw, "steps", 5) - 8, "HHB", 0x77, 8, 0x80)
    refused(raw, UnsupportedError, "header message type")


@pytest.mark.parametrize("part", ["OHDR", "superblock"])
def test_checksum(part: str) -> None:
    raw = good("latest")
    raw[raw.index(b"OHDR") + 8 if part == "OHDR" else 20] ^= 1
    with pytest.raises(ChecksumError, match="checksum: expected 0x"):
        parse(raw)


# ------------------------------------------------------------------ groups


def tree_of(raw: bytes, path: str) -> tuple[int, int]:
    """B-tree and local heap of a group."""
    tree, heap = struct.unpack_from("<QQ", raw, message_of(raw, path, SYMBOLS))
    return tree, heap


def test_tree_loop() -> None:
    raw = good()
    tree, _ = tree_of(raw, "layers")
    put(raw, tree + 5, "B", 1)
    refused(put(raw, tree + 32, "Q", tree), CorruptError, "node level: expected 0, found 1")


def test_tree_level_huge() -> None:
    raw = good()
    refused(put(raw, tree_of(raw, "layers")[0] + 5, "B", 255), CorruptError, "node level")


def test_tree_entries_huge() -> None:
    raw = good()
    refused(put(raw, tree_of(raw, "layers")[0] + 6, "H", 0xFFFF), TruncatedError, "structure")


def test_tree_of_chunks_as_group() -> None:
    raw = good()
    refused(put(raw, tree_of(raw, "layers")[0] + 4, "B", 1), CorruptError, "node type")


def test_same_node_twice() -> None:
    """Both children of a node are one symbol table: every link of it would be listed twice."""
    raw = good()
    tree, _ = tree_of(raw, "layers/dense/vars")
    (child,) = struct.unpack_from("<Q", raw, tree + 32)
    put(raw, tree + 6, "H", 2)
    refused(put(raw, tree + 48, "Q", child), CorruptError, "link name: expected names in rising order")


def test_symbols_beyond_node() -> None:
    raw = good()
    refused(put(raw, raw.index(b"SNOD") + 6, "H", 0xFFFF), TruncatedError, "structure")


def test_name_offset_beyond_heap() -> None:
    raw = good()
    refused(put(raw, raw.index(b"SNOD") + 8, "Q", 1 << 62), TruncatedError, "structure")


def test_name_without_end() -> None:
    raw = good()
    _, heap = tree_of(raw, "layers")
    nbytes, _, data = struct.unpack_from("<QQQ", raw, heap + 8)
    raw[data : data + nbytes] = b"n" * nbytes
    refused(raw, CorruptError, "string: expected a NUL")


def test_name_with_slash() -> None:
    raw = good()
    raw[raw.index(b"dense\0", tree_of(raw, "layers")[1])] = ord("/")
    refused(raw, CorruptError, "link name: expected one without '/'")


def test_name_empty() -> None:
    raw = good()
    raw[raw.index(b"dense\0", tree_of(raw, "layers")[1])] = 0
    refused(raw, CorruptError, "link name")


def test_heap_beyond_file() -> None:
    raw = good()
    refused(put(raw, tree_of(raw, "layers")[1] + 8, "Q", 1 << 50), TruncatedError, "structure")


def test_heap_shared_by_long_names() -> None:
    """5,000 links with one name of 80 KB between them: quadratic unless work is bounded."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for i in range(5000):
            file.create_dataset(f"g/{i:016d}", (0,), "f4")
    raw = bytearray(out.getvalue())
    _, heap = tree_of(raw, "g")
    nbytes, _, data = struct.unpack_from("<QQQ", raw, heap + 8)
    raw[data + 8 : data + nbytes - 8] = b"n" * (nbytes - 16)
    with Bounded(), pytest.raises(FormatError):
        parse(raw)


def test_group_in_itself() -> None:
    """A cycle is legal HDF5; it is listed once and not followed."""
    raw = good()
    node = struct.unpack_from("<Q", raw, tree_of(raw, "layers/dense")[0] + 32)[0]
    put(raw, node + 16, "Q", header_of(raw, "layers"))
    file = parse(raw)
    assert file.aliases == {"layers/dense/vars": "layers"}
    assert sorted(file.tensors) == ["steps", "zipped"]


def test_groups_sharing_one_tree_by_the_thousand() -> None:
    """Each of 3,000 groups claims the same B-tree of 3,000 links."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for i in range(3000):
            file.create_group(f"g/{i:04d}")
    raw = bytearray(out.getvalue())
    target = struct.pack("<QQ", *tree_of(raw, "g"))
    at = -1
    for _ in range(3001):
        at = raw.find(b"\x11\0\x10\0", at + 1)
        if at < 0:
            break
        raw[at + 8 : at + 24] = target
    refused(raw, LimitError, "limits.work_factor")


def test_path_too_long() -> None:
    refused(good(), LimitError, "limits.name_bytes=12", Limits(name_bytes=12))


@pytest.mark.parametrize("libver", [None, "latest"])
def test_links_to_elsewhere(tmp_path: Path, libver: str | None) -> None:
    """Neither target may be opened: reading from a FIFO would wait for ever."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    out = io.BytesIO()
    with h5py.File(out, "w", libver=libver) as file:
        file["soft"] = h5py.SoftLink("/layers")
        file["external"] = h5py.ExternalLink(str(fifo), "/x")
        file.create_dataset("stored", (4,), "f4", external=[(str(fifo), 0, 16)])
    with Bounded():
        found = parse(out.getvalue())
        use(found)
    assert found.refused["soft"] == "soft link to /layers"
    assert found.refused["external"] == f"external link to {fifo}:/x"
    assert found.tensors["stored"].problem == "external storage"


def test_virtual_dataset() -> None:
    out = io.BytesIO()
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    with h5py.File(out, "w", libver="latest") as file:
        file.create_virtual_dataset("v", layout)
    assert parse(out.getvalue()).tensors["v"].problem == "virtual dataset"


# ------------------------------------------------------------------ dense links, heaps, version 2 B-trees


def dense() -> bytearray:
    out = io.BytesIO()
    with h5py.File(out, "w", libver="latest") as file:
        for i in range(300):
            file.create_group(f"group_with_a_longer_name_{i:03d}")
    return bytearray(out.getvalue())


def reseal_node(raw: bytearray, at: int, nrecords: int, record: int, pointer: int = 0) -> bytearray:
    return reseal(raw, at, 6 + nrecords * record + (nrecords + 1) * pointer)


def test_btree2_node_below_itself() -> None:
    """The root's first child is the root: its depth falls, so it is read as a leaf, and is none."""
    raw = dense()
    header = raw.index(b"BTHD")
    root, nroot = struct.unpack_from("<QH", raw, header + 16)
    assert raw[root : root + 4] == b"BTIN"
    pointer = 8 + 1
    put(raw, root + 6 + 11 * nroot, "Q", root)
    reseal_node(raw, root, nroot, 11, pointer)
    refused(raw, CorruptError, "signature: expected b'BTLF'")


def test_btree2_one_leaf_for_all() -> None:
    raw = dense()
    header = raw.index(b"BTHD")
    root, nroot = struct.unpack_from("<QH", raw, header + 16)
    first = root + 6 + 11 * nroot
    for i in range(nroot):
        raw[first + 9 * (i + 1) : first + 9 * (i + 2)] = raw[first : first + 9]
    reseal_node(raw, root, nroot, 11, 9)
    with Bounded(), pytest.raises(CorruptError):
        parse(raw)


def test_btree2_depth() -> None:
    raw = dense()
    header = raw.index(b"BTHD")
    put(raw, header + 12, "H", 0xFFFF)
    refused(reseal(raw, header, 34), CorruptError, "B-tree depth")


@pytest.mark.parametrize("size", [0, 10, 0xFFFFFFFF])
def test_btree2_node_size(size: int) -> None:
    raw = dense()
    header = raw.index(b"BTHD")
    put(raw, header + 6, "I", size)
    with Bounded(), pytest.raises(CorruptError):
        parse(reseal(raw, header, 34))


def test_btree2_record_size() -> None:
    raw = dense()
    header = raw.index(b"BTHD")
    put(raw, header + 10, "H", 0)
    refused(reseal(raw, header, 34), CorruptError, "records of 11 bytes")


def heap_header(raw: bytearray) -> int:
    return raw.index(b"FRHP")


def reseal_heap(raw: bytearray) -> bytearray:
    return reseal(raw, heap_header(raw), 142)


@pytest.mark.parametrize(
    "at, form, value",
    [(110, "H", 0), (110, "H", 3), (112, "Q", 0), (112, "Q", 1 << 63), (120, "Q", 3), (128, "H", 0),
     (128, "H", 999), (140, "H", 0xFFFF), (5, "H", 1), (5, "H", 0xFFFF)],
)  # fmt: skip
def test_fractal_heap_parameters(at: int, form: str, value: int) -> None:
    raw = dense()
    put(raw, heap_header(raw) + at, form, value)
    with Bounded(), pytest.raises(CorruptError):
        parse(reseal_heap(raw))


def test_indirect_block_in_itself() -> None:
    raw = dense()
    block = raw.index(b"FHIB")
    nbytes = struct.unpack_from("<H", raw, heap_header(raw) + 140)[0] * 4 * 8
    first = block + 5 + 8 + 4
    put(raw, first, "Q", block)
    refused(reseal(raw, block, 17 + nbytes), CorruptError, "signature|structure")


def test_heap_object_beyond_block() -> None:
    raw = dense()
    leaf = raw.index(b"BTLF")
    put(raw, leaf + 6 + 4 + 5, "H", 0xFFFF)
    with Bounded(), pytest.raises(FormatError):
        parse(raw)


def test_direct_block_checksum() -> None:
    raw = dense()
    raw[raw.index(b"group_with_a_longer_name_007")] ^= 1
    refused(raw, ChecksumError, "checksum")


# ------------------------------------------------------------------ datasets


def test_raw_data_overlap() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars/1", LAYOUT)
    put(raw, at + 2, "Q", data_of(raw, "layers/dense/vars/0") + 8)
    refused(raw, CorruptError, "stored runs: expected no overlap")


@pytest.mark.parametrize("part", [b"TREE", b"HEAP", b"SNOD"])
def test_raw_data_over_structure(part: bytes) -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars/1", LAYOUT)
    put(raw, at + 2, "Q", raw.index(part))
    refused(raw, CorruptError, "structure: expected no overlap with raw data")


def test_raw_data_over_its_header() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars/1", LAYOUT)
    put(raw, at + 2, "Q", at)
    refused(raw, CorruptError, "structure: expected no overlap with raw data")


def test_raw_data_over_a_global_heap() -> None:
    """The heap is parsed only when an attribute is asked for; it is checked then."""
    raw = good()
    at = message_of(raw, "layers/dense/vars/1", LAYOUT)
    put(raw, at + 2, "Q", raw.index(b"GCOL") + 32)
    refused(raw, CorruptError, "structure: expected no overlap with raw data")


def test_raw_data_beyond_file() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars/1", LAYOUT)
    refused(put(raw, at + 2, "Q", len(raw) - 4), TruncatedError, "raw data of layers/dense/vars/1")


def test_address_wraps_around() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars/1", LAYOUT)
    refused(put(raw, at + 2, "Q", UNDEFINED - 7), CorruptError, "raw data")


def test_shape_larger_than_stored() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars/1", DATASPACE)
    refused(put(raw, at + 8, "QQ", 1 << 30, 1 << 30), CorruptError, "stored size: expected 4294967296")


def test_shape_product_overflows() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars/0", DATASPACE)
    refused(put(raw, at + 8, "QQQQ", 1 << 33, 1 << 33, 1 << 33, 1 << 33), CorruptError, "stored size")


def test_rank() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars/0", DATASPACE)
    refused(put(raw, at + 1, "B", 33), CorruptError, "dimensionality: expected at most 32, found 33")


def test_maximum_below_shape() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars/0", DATASPACE)
    refused(put(raw, at + 24, "Q", 1), CorruptError, "maximum dimension 0")


def test_never_written() -> None:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("x", (1 << 20,), "f4")
        file.create_dataset("chunked", (1 << 20,), "f4", chunks=(1 << 20,))
        file.create_dataset("empty", (0, 5), "f4")
    found = parse(out.getvalue())
    assert found.tensors["x"].problem == found.tensors["chunked"].problem == "no data stored"
    assert found.tensors["empty"].problem is None


@pytest.mark.parametrize("version", [0, 6, 15])
def test_datatype_version(version: int) -> None:
    raw = good()
    at = message_of(raw, "steps", DATATYPE)
    refused(put(raw, at, "B", version << 4), UnsupportedError, "datatype version")


def test_datatype_size_zero() -> None:
    raw = good()
    refused(put(raw, message_of(raw, "steps", DATATYPE) + 4, "I", 0), CorruptError, "datatype size")


def test_layout_class() -> None:
    raw = good()
    refused(put(raw, message_of(raw, "steps", LAYOUT) + 1, "B", 9), UnsupportedError, "layout class")


# ------------------------------------------------------------------ chunks


def chunk_tree(raw: bytearray) -> int:
    """The B-tree of "zipped": four chunks of two dimensions, keys of 32 bytes."""
    return int(struct.unpack_from("<Q", raw, message_of(raw, "zipped", LAYOUT) + 3)[0])


def test_chunks_sharing_bytes() -> None:
    raw = good()
    first = chunk_tree(raw) + 24
    (target,) = struct.unpack_from("<Q", raw, first + 32)
    refused(put(raw, first + 40 + 32, "Q", target), CorruptError, "no overlap")


def test_chunk_tree_loop() -> None:
    raw = good()
    tree = chunk_tree(raw)
    put(raw, tree + 5, "B", 1)
    refused(put(raw, tree + 24 + 32, "Q", tree), CorruptError, "node level")


def test_chunk_off_its_grid() -> None:
    raw = good()
    refused(put(raw, chunk_tree(raw) + 24 + 8, "Q", 3), CorruptError, "chunk position")


def test_chunk_beyond_shape() -> None:
    raw = good()
    refused(put(raw, chunk_tree(raw) + 24 + 8, "Q", 1 << 40), CorruptError, "chunk position")


def test_chunk_position_twice() -> None:
    raw = good()
    first = chunk_tree(raw) + 24
    put(raw, first + 8, "Q", 4)
    refused(raw, CorruptError, "each position once")


def test_chunk_larger_than_file() -> None:
    raw = good()
    refused(put(raw, chunk_tree(raw) + 24, "I", 0xFFFFFFFF), TruncatedError, "chunk: expected")


def test_chunk_size_zero() -> None:
    raw = good()
    refused(put(raw, chunk_tree(raw) + 24, "I", 0), CorruptError, "chunk size")


def test_chunk_that_claims_no_filters() -> None:
    raw = good()
    refused(put(raw, chunk_tree(raw) + 28, "I", 3), CorruptError, "chunk size: expected 32")


def test_chunk_shape_zero() -> None:
    raw = good()
    refused(put(raw, message_of(raw, "zipped", LAYOUT) + 11, "I", 0), CorruptError, "chunk dimension")


def test_chunk_shape_huge() -> None:
    raw = good()
    at = message_of(raw, "zipped", LAYOUT)
    refused(put(raw, at + 11, "II", 0xFFFFFFFF, 0xFFFFFFFF), LimitError, "chunk size")


def test_chunk_element_size() -> None:
    raw = good()
    refused(put(raw, message_of(raw, "zipped", LAYOUT) + 19, "I", 8), CorruptError, "elements of 2 bytes")


def test_shape_bomb() -> None:
    """Four gibibytes in 1,000 bytes: no compressor reaches that."""
    out = io.BytesIO()
    shape = (1 << 15, (1 << 15) - 1)
    with h5py.File(out, "w") as file:
        data = file.create_dataset("x", shape, "f4", chunks=shape, compression="gzip")
        data.id.write_direct_chunk((0, 0), b"x" * 1000)
    refused(out.getvalue(), LimitError, "limits.expansion")


def test_chunk_bomb() -> None:
    """A grid of 2^40 chunks of which two are stored."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        data = file.create_dataset("x", (1 << 38,), "u1", chunks=(1,), maxshape=(None,))
        data[5] = 1
    refused(out.getvalue(), LimitError, "limits.chunks")


@pytest.mark.parametrize("kind", ["fixed", "implicit", "extensible", "btree2"])
def test_chunk_bomb_of_new_indexes(kind: str) -> None:
    out = io.BytesIO()
    with h5py.File(out, "w", libver="latest") as file:
        if kind == "implicit":
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((1,))
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            space = h5py.h5s.create_simple((1000,))
            h5py.h5d.create(file.id, b"x", h5py.h5t.STD_U8LE, space, plist)
        else:
            shape, unlimited = ((10, 10), (None, None)) if kind == "btree2" else ((100,), (None,))
            unlimited = None if kind == "fixed" else unlimited
            data = file.create_dataset("x", shape, "u1", chunks=(1,) * len(shape), maxshape=unlimited)
            data[...] = 1
    raw = bytearray(out.getvalue())
    header = header_of(raw, "x")
    at = message_of(raw, "x", DATASPACE)
    # The shape, and with it the maximum, far beyond what the index has.
    raw[at + 4 : at + 12] = struct.pack("<Q", 1 << 39)
    if raw[at + 2] & 1:
        where = at + 4 + 8 * raw[at + 1]
        if struct.unpack_from("<Q", raw, where)[0] != UNDEFINED:
            put(raw, where, "Q", 1 << 39)
    with Bounded(), pytest.raises(FormatError):
        use(parse(reseal_header(raw, header)))


def test_filters_unknown() -> None:
    raw = good()
    at = message_of(raw, "zipped", FILTERS)
    file = parse(put(raw, at + 8, "H", 4))
    assert file.tensors["zipped"].problem == "filter szip (4)"


def test_filters_too_many() -> None:
    raw = good()
    refused(put(raw, message_of(raw, "zipped", FILTERS) + 1, "B", 9), LimitError, "limits.filters=8")


def test_filters_two_compressors() -> None:
    raw = good()
    at = message_of(raw, "zipped", FILTERS)
    put(raw, at + 8, "H", 1)
    assert parse(raw).tensors["zipped"].problem == "more than one compressor"


def test_filter_name_beyond_message() -> None:
    raw = good()
    refused(put(raw, message_of(raw, "zipped", FILTERS) + 10, "H", 0xFFFF), TruncatedError, "structure")


# ------------------------------------------------------------------ attributes


def test_attribute_bomb() -> None:
    """60,000 strings that are one heap object of 60 KB: 3.6 GB from 1 MB."""
    out = io.BytesIO()
    with h5py.File(out, "w", libver="latest") as file:
        file.attrs.create("bomb", ["y" * 60000] + ["x"] * 60000, dtype=h5py.string_dtype())
    raw = bytearray(out.getvalue())
    at = raw.index(struct.pack("<I", 60000))
    for i in range(1, 60001):
        raw[at + 16 * i : at + 16 * i + 16] = raw[at : at + 16]
    refused(raw, LimitError, "limits.work_factor")


def test_attribute_limit() -> None:
    refused(good(), LimitError, "limits.attribute_bytes=4", Limits(attribute_bytes=4))


def test_attribute_heap_index() -> None:
    raw = good()
    at = raw.index(b"GCOL") + 16
    refused(put(raw, at, "H", 999), CorruptError, "global heap object")


def test_attribute_heap_size() -> None:
    raw = good()
    refused(put(raw, raw.index(b"GCOL") + 8, "Q", 1 << 60), TruncatedError, "structure")


def test_attribute_heap_object_size() -> None:
    raw = good()
    refused(put(raw, raw.index(b"GCOL") + 24, "Q", 1 << 60), TruncatedError, "structure")


def test_attribute_string_longer_than_object() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars", ATTRIBUTE)
    where = raw.index(struct.pack("<I", 5), at)
    refused(put(raw, where, "I", 4000), CorruptError, "global heap object")


def test_attribute_shape() -> None:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["x"] = np.arange(4.0)
    raw = bytearray(out.getvalue())
    at = message_of(raw, "/", ATTRIBUTE)
    where = raw.index(struct.pack("<Q", 4), at)
    refused(put(raw, where, "QQ", 1 << 61, 1 << 61), CorruptError, "attribute data")


def test_attribute_sizes() -> None:
    raw = good()
    at = message_of(raw, "layers/dense/vars", ATTRIBUTE)
    refused(put(raw, at + 2, "HHH", 0xFFFF, 0xFFFF, 0xFFFF), TruncatedError, "structure")


# ------------------------------------------------------------------ limits


@pytest.mark.parametrize(
    "limits, match",
    [
        (Limits(tensors=2), "limits.tensors=2"),
        (Limits(rank=1), "limits.rank=1"),
        (Limits(name_bytes=5), "limits.name_bytes=5"),
        (Limits(tensor_bytes=20), "limits.tensor_bytes=20"),
        (Limits(chunks=3), "limits.chunks=3"),
        (Limits(filters=1), "limits.filters=1"),
        (Limits(work_factor=0, work_bytes=1000), "limits.work_factor=0"),
        (Limits(attribute_bytes=3), "limits.attribute_bytes=3"),
    ],
)
def test_limits(limits: Limits, match: str) -> None:
    error = refused(good(), LimitError, match, limits)
    assert error.field is not None


def test_source_that_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(good())
    source = Source.open(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(FormatError):
        hdf5.open(source)
