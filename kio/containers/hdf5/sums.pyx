"""The table of checksums that kio puts behind an HDF5 file.

    0   "kio-sums"
    8   version u16 = 1, algorithm u16 = 1 (CRC-32), block size u32: 2**20
   16   end-of-file address u64: where HDF5's part ends, and this table begins
   24   structure u64: bytes from the start of the file on that are summed as one
   32   CRC-32 of the structure u32, reserved u32
   40   number of runs u64, number of sums u64
   56   runs: offset u64, nbytes u64, by offset      one a dataset, or one a chunk
        sums: u32                                    one for each block of each run
        [4 zeros]                                    where the number of sums is odd
  -24   nbytes of the table u64, CRC-32 of all of it before this field u32, version u32
   -8   "kio-sums"

Readers of HDF5 stop at the end-of-file address, so no other reader sees the table.  libhdf5
cuts a file that it had open for writing to that address, or makes it longer: an edited file
has no table rather than a wrong one.  A table counts only if it begins exactly at the
end-of-file address and ends exactly at the end of the file.
"""

import struct

from libc.stdint cimport uint32_t, uint64_t

from kio.raw cimport kernels, pen
from kio.raw.pen cimport Pen

cdef enum:
    VERSION = 1
    CRC32 = 1
    BLOCK_NBYTES = 1 << 20
    HEAD_NBYTES = 56
    FOOT_NBYTES = 24

MAGIC = b"kio-sums"
BLOCK = BLOCK_NBYTES


def nbytes_of(nbytes_of_runs):
    """Size of the table over stored runs of these sizes."""
    cdef uint64_t count = 0, runs = 0, nbytes
    for nbytes in nbytes_of_runs:
        runs += 1
        count += (nbytes + BLOCK_NBYTES - 1) // BLOCK_NBYTES
    return HEAD_NBYTES + 16 * runs + 4 * count + 4 * (count & 1) + FOOT_NBYTES


def table_of(uint64_t end, uint64_t structure_nbytes, uint32_t structure_crc, runs, sums):
    """The table of a file, as bytes.

    Args:
        end: The file's end-of-file address.
        structure_nbytes, structure_crc: Size and CRC-32 of the structure in front.
        runs: ``(offset, nbytes)`` of every stored run.
        sums: CRC-32s of its blocks, for each run in the same order.
    """
    cdef Pen p
    cdef size_t i
    p.base, p.at, p.end, p.fixed = NULL, 0, 0, False
    order = sorted(range(len(runs)), key=runs.__getitem__)
    count = sum([len(part) for part in sums])
    try:
        head = struct.pack("<8sHHIQQIIQQ", MAGIC, VERSION, CRC32, BLOCK, end, structure_nbytes, structure_crc,
                           0, len(runs), count)
        pen.put(&p, <const char *>head, len(head))
        for i in order:
            offset, nbytes = runs[i]
            pen.put64(&p, offset)
            pen.put64(&p, nbytes)
        for i in order:
            for value in sums[i]:
                pen.put32(&p, value)
        pen.room(&p, -p.at & 7)
        pen.put64(&p, p.at + <size_t>FOOT_NBYTES)
        pen.put32(&p, kernels.crc32(0, p.base, p.at))
        pen.put32(&p, VERSION)
        pen.put(&p, b"kio-sums", 8)
        return pen.text(&p)
    finally:
        pen.drop(&p)
