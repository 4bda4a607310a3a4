"""kernels.pyx says again what kio.h says; that they agree."""

from __future__ import annotations

import re
from pathlib import Path

from kio.raw import kernels

ROOT = Path(__file__).parents[2]
HEADER = (ROOT / "csrc" / "kio.h").read_text(encoding="utf-8")
DOOR = (ROOT / "kio" / "raw" / "kernels.pxd").read_text(encoding="utf-8")


def test_statuses():
    enum = re.search(r"enum kio_status \{(.*?)\};", HEADER, re.DOTALL).group(1)
    in_header = re.findall(r"^\s*(KIO_\w+)", enum, re.MULTILINE)
    in_door = re.findall(r"^    (KIO_\w+)", DOOR, re.MULTILINE)
    assert in_header == in_door == [f"KIO_{name}" for name in kernels.STATUS]


def test_rank():
    assert re.search(r"KIO_MAX_RANK = (\d+)", HEADER).group(1) == re.search(r"MAX_RANK = (\d+)", DOOR).group(1)


def test_every_kernel_is_declared():
    kernels_of_header = set(re.findall(r"^(?:uint32_t|void|enum kio_status) kio_(\w+)\(", HEADER, re.MULTILINE))
    kernels_of_header |= set(re.findall(r"^KIO_CONVERSION\((\w+)\)", HEADER, re.MULTILINE))
    kernels_of_door = set(re.findall(r"^cdef (?:uint32_t|void|Status) (\w+)\(", DOOR, re.MULTILINE))
    assert kernels_of_header == kernels_of_door
    assert len(kernels_of_door) > 20


def test_every_table_ends_with_the_portable_row():
    tables = re.findall(r"^KIO_(?:IMPL_TABLE|CONVERSION)\((\w+)\)", HEADER, re.MULTILINE)
    for table in tables:
        assert kernels.implementations(table)[-1] == "portable"
