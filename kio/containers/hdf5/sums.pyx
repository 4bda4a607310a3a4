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

from kio.errors import ChecksumError, CorruptError, UnsupportedError

from libc.stdlib cimport free, malloc

from kio.raw cimport cursor, kernels, pen
from kio.raw.cursor cimport Cursor
from kio.raw.pen cimport Pen
from kio.raw.tensor cimport PLAIN, SUM_BLOCK, Extent

cdef enum:
    VERSION = 1
    CRC32 = 1
    HEAD_NBYTES = 56
    FOOT_NBYTES = 24

MAGIC = b"kio-sums"
BLOCK = SUM_BLOCK


def nbytes_of(nbytes_of_runs):
    """Size of the table over stored runs of these sizes."""
    cdef uint64_t count = 0, runs = 0, nbytes
    for nbytes in nbytes_of_runs:
        runs += 1
        count += (nbytes + SUM_BLOCK - 1) // SUM_BLOCK
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


# ---- reading

cdef class Table:
    def __dealloc__(self):
        free(self.runs)

    cdef Run *find(self, uint64_t offset, uint64_t nbytes) except NULL:
        """The run of exactly these bytes: every stored run of the file has one."""
        cdef size_t low = 0, high = self.count, middle
        # Datasets are mostly asked for in the order in which they lie.
        if self.hint < self.count and self.runs[self.hint].offset == offset:
            low = self.hint
        else:
            while low < high:
                middle = (low + high) // 2
                if self.runs[middle].offset < offset:
                    low = middle + 1
                else:
                    high = middle
        if low == self.count or self.runs[low].offset != offset or self.runs[low].nbytes != nbytes:
            raise CorruptError(f"table of checksums: expected one for the stored run of {nbytes} bytes, found none",
                               source=self.name, offset=offset, field="runs")
        self.hint = low + 1
        return self.runs + low

    cdef uint32_t sum_of(self, const Run *run) noexcept:
        """The sum over a whole run."""
        cdef uint64_t at = 0, n, k = run.first
        cdef uint32_t crc = 0
        while at < run.nbytes:
            n = min(run.nbytes - at, <uint64_t>SUM_BLOCK)
            crc = kernels.crc32_combine(crc, self.sums.values[k], n)
            at += n
            k += 1
        return crc


cdef Table read_table(Structure s):
    """The table behind the end-of-file address, or None; the structure is checked by it.

    Raises:
        ChecksumError: if table or structure were changed after writing.
        CorruptError: if the table contradicts itself.
    """
    cdef Cursor c
    cdef Table table
    cdef uint64_t total = s.image.nbytes - s.end, nbytes, count, i, used = 0
    cdef uint32_t stored
    if total < HEAD_NBYTES + FOOT_NBYTES:
        return None
    c = cursor.span(s.image, s.image.nbytes - FOOT_NBYTES, FOOT_NBYTES)
    nbytes = cursor.u64(&c)
    stored, version = cursor.u32(&c), cursor.u32(&c)
    if not cursor.starts(&c, b"kio-sums", 8) or nbytes != total:
        return None              # something else, or what an edit left of a table
    if version != VERSION:
        raise UnsupportedError(f"table of checksums: expected version {VERSION}, found {version}", source=s.name,
                               offset=s.end, field="version", hint="written by a newer kio")
    s.charge(total)
    c = cursor.span(s.image, s.end, total - 16)
    s.compare(kernels.crc32(0, cursor.run(&c, total - 16), total - 16), stored, s.image.nbytes - 16)
    cursor.seek(&c, 0)
    cursor.expect(&c, b"kio-sums", 8)
    said = [cursor.u16(&c), cursor.u16(&c), cursor.u32(&c), cursor.u64(&c) + s.base]
    if said != [VERSION, CRC32, SUM_BLOCK, s.end]:
        s.corrupt(f"table of checksums: expected version, algorithm, block size and end-of-file address "
                  f"{[VERSION, CRC32, SUM_BLOCK, s.end]}, found {said}", s.end)
    table = Table.__new__(Table)
    table.name = s.name
    table.structure_nbytes, table.structure_crc = cursor.u64(&c), cursor.u32(&c)
    cursor.skip(&c, 4)
    table.count, count = cursor.u64(&c), cursor.u64(&c)
    if table.count > total // 16 or count > total // 4 or \
            total != HEAD_NBYTES + 16 * table.count + 4 * count + 4 * (count & 1) + FOOT_NBYTES:
        s.corrupt(f"table of checksums: expected {table.count} runs and {count} sums in as many bytes, "
                  f"found {total}", s.end, "number of runs")
    table.sums = Sums(count)
    table.runs = <Run *>malloc((table.count + 1) * sizeof(Run))
    if table.runs == NULL:
        raise MemoryError()
    for i in range(table.count):
        table.runs[i].offset, table.runs[i].nbytes = cursor.u64(&c) + s.base, cursor.u64(&c)
        table.runs[i].first = used
        if table.runs[i].nbytes >> 62 or (i and table.runs[i].offset <= table.runs[i - 1].offset):
            s.corrupt("table of checksums: expected runs by offset, found others", s.end, "runs")
        used += (table.runs[i].nbytes + SUM_BLOCK - 1) // SUM_BLOCK
        if used > count:
            break
    if used != count:
        s.corrupt(f"table of checksums: expected {used} sums for its runs, found {count}", s.end, "number of sums")
    for i in range(count):
        table.sums.values[i] = cursor.u32(&c)
    _check_structure(s, table)
    return table


cdef int _check_structure(Structure s, Table table) except -1:
    cdef Cursor c
    cdef uint64_t nbytes = table.structure_nbytes
    cdef uint32_t crc
    s.charge(nbytes)
    s.view(&c, s.base, nbytes)
    crc = kernels.crc32(0, cursor.run(&c, nbytes), nbytes)
    if crc != table.structure_crc and s.verifies():
        raise ChecksumError(f"CRC-32 of the structure: expected {table.structure_crc:#010x}, found {crc:#010x}",
                            source=s.name, offset=s.base, hint="the stored bytes were changed after writing; "
                            "use another copy of the file")
    return 0


cdef int sum_rows(Table table, Index index) except -1:
    cdef size_t i
    cdef uint64_t first = table.structure_nbytes
    index.sums = table.sums
    for i in range(index.nrows):
        if index.rows[i].kind == PLAIN and index.rows[i].nbytes:
            index.rows[i].sums = table.find(index.rows[i].offset, index.rows[i].nbytes).first + 1
    # Otherwise opening the file would read data, and data could be taken for structure.
    if table.count and table.runs[0].offset < first:
        raise CorruptError(f"table of checksums: expected no data among the first {first} bytes, found some",
                           source=table.name, offset=table.runs[0].offset, field="structure")
    return 0


cdef int sum_chunks(Table table, list extents) except -1:
    cdef Extent extent
    for each in extents:
        extent = each
        extent.checksum = ("crc32", table.sum_of(table.find(extent.offset, extent.nbytes)))
    return 0
