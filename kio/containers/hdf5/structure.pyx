"""What every parser of this package is handed: bounds, budget, checksum, byte ranges.

A hostile file can make a parser read the same bytes again and again.  So every byte
parsed or copied is charged to a budget of ``limits.work_factor`` times the file's
size plus ``limits.work_bytes``; genuine files stay below one times their size.
"""

from kio.errors import (
    ChecksumError,
    CorruptError,
    LimitError,
    TruncatedError,
    UnsupportedError,
)

from libc.stdlib cimport calloc, free, qsort, realloc

from kio.raw.cursor cimport enter, run, u32
from kio.raw.kernels cimport lookup3
from kio.raw.source cimport Source

cdef bint VERIFY = True


def verify_checksums(bint on):
    """Switch checks of structure checksums; returns how it was.

    For the fuzzer alone: a mutated structure would otherwise never get past its checksum.
    """
    global VERIFY
    was, VERIFY = VERIFY, on
    return was


cdef int _by_offset(const void *a, const void *b) noexcept nogil:
    cdef uint64_t x = (<const Range *>a).offset, y = (<const Range *>b).offset
    return (x > y) - (x < y)


cdef class Ranges:
    """Byte ranges parsed as structure and ranges of raw data, which may not meet.

    Without this check a tensor could be made of object headers, or one run of bytes
    be the chunk of a thousand tensors.  16 bytes a range; the lookup of a range is
    O(1) for evenly spread runs, O(log n) at worst.
    """

    def __dealloc__(self):
        free(self.parsed)
        free(self.raw)
        free(self.first)

    cdef int add_raw(self, uint64_t offset, uint64_t nbytes) except -1:
        cdef void *p
        if nbytes == 0:
            return 0
        if self.nraw == self.cap_raw:
            p = realloc(self.raw, (self.cap_raw * 2 + 64) * sizeof(Range))
            if p == NULL:
                raise MemoryError()
            self.raw = <Range *>p
            self.cap_raw = self.cap_raw * 2 + 64
        self.raw[self.nraw].offset = offset
        self.raw[self.nraw].nbytes = nbytes
        self.nraw += 1
        return 0

    cdef int add_parsed(self, uint64_t offset, uint64_t nbytes) except -1:
        cdef void *p
        if self.nparsed == self.cap_parsed:
            p = realloc(self.parsed, (self.cap_parsed * 2 + 256) * sizeof(Range))
            if p == NULL:
                raise MemoryError()
            self.parsed = <Range *>p
            self.cap_parsed = self.cap_parsed * 2 + 256
        self.parsed[self.nparsed].offset = offset
        self.parsed[self.nparsed].nbytes = nbytes
        self.nparsed += 1
        return 0

    cdef int settle(self, uint64_t end, str name) except -1:
        """Check all ranges added so far; from here on structure is checked as it is added."""
        cdef size_t i, bucket, nbuckets
        cdef uint64_t free_from = 0
        if self.nraw:
            qsort(self.raw, self.nraw, sizeof(Range), &_by_offset)
        for i in range(self.nraw):
            if self.raw[i].offset < free_from:
                raise CorruptError("stored runs: expected no overlap, found one", source=name,
                                   offset=self.raw[i].offset)
            free_from = self.raw[i].offset + self.raw[i].nbytes
        # About one raw run a bucket.
        while (end >> self.shift) > self.nraw:
            self.shift += 1
        nbuckets = <size_t>(end >> self.shift) + 2
        self.first = <uint32_t *>calloc(nbuckets + 1, sizeof(uint32_t))
        if self.first == NULL or self.nraw > 0xFFFFFFFF:
            raise MemoryError()
        i = 0
        for bucket in range(nbuckets + 1):
            while i < self.nraw and self.raw[i].offset >> self.shift < bucket:
                i += 1
            self.first[bucket] = <uint32_t>i
        self.settled = True
        for i in range(self.nparsed):
            if self.hits(self.parsed[i].offset, self.parsed[i].nbytes):
                raise _overlap(name, self.parsed[i].offset)
        free(self.parsed)
        self.parsed = NULL
        self.nparsed = self.cap_parsed = 0
        return 0

    cdef bint hits(self, uint64_t offset, uint64_t nbytes) noexcept:
        """Whether raw data lies in [offset, offset + nbytes), which is inside the file."""
        cdef uint64_t end = offset + nbytes
        cdef size_t low = self.first[end >> self.shift]
        cdef size_t high = self.first[(end >> self.shift) + 1], middle
        # The last run that starts before end: runs do not overlap, so it reaches furthest.
        while low < high:
            middle = (low + high) // 2
            if self.raw[middle].offset < end:
                low = middle + 1
            else:
                high = middle
        return low > 0 and nbytes > 0 and self.raw[low - 1].offset + self.raw[low - 1].nbytes > offset


cdef object _overlap(str name, uint64_t offset):
    return CorruptError("structure: expected no overlap with raw data, found one",
                        source=name, offset=offset)


cdef class Structure:
    def __cinit__(self, Source source, limits):
        self.image = Image(source)
        self.name = source.name
        self.limits = limits
        self.ranges = Ranges()
        self.verified, self.collections = set(), {}
        self.end = source.nbytes
        self.address_nbytes = self.length_nbytes = 8
        self.refill()

    cdef int refill(self) except -1:
        cdef object budget = self.limits.work_factor * self.image.nbytes + self.limits.work_bytes
        self.work = min(budget, 1 << 62)
        # Paths repeat their parents' names; four times leaves room for deep trees of small objects.
        self.paths = min(4 * budget, 1 << 62)
        return 0

    cdef int charge(self, uint64_t nbytes) except -1:
        if nbytes > self.work:
            raise LimitError(
                f"structure parsed: expected at most limits.work_factor="
                f"{self.limits.work_factor} times the file's {self.image.nbytes} bytes and "
                f"limits.work_bytes={self.limits.work_bytes}, found more",
                source=self.name, field="work_factor",
                hint="the file refers to the same bytes over and over")
        self.work -= nbytes
        return 0

    cdef int inside(self, uint64_t offset, uint64_t nbytes, str what) except -1:
        if offset > self.end or nbytes > self.end - offset:
            if offset >= UINT64_MAX - 1:
                raise CorruptError(f"{what}: expected an address in the file, found "
                                   + ("an undefined one" if offset == UINT64_MAX else "one beyond it"),
                                   source=self.name)
            raise TruncatedError(
                f"{what}: expected {nbytes} bytes, found {max(0, <object>self.end - offset)}",
                source=self.name, offset=offset)
        return 0

    cdef int view(self, Cursor *c, uint64_t offset, uint64_t nbytes) except -1:
        if offset > self.end or nbytes > self.end - offset:
            self.inside(offset, nbytes, "structure")
        enter(c, self.image, offset, nbytes)
        return 0

    cdef int parse(self, Cursor *c, uint64_t offset, uint64_t nbytes) except -1:
        self.view(c, offset, nbytes)
        if nbytes > self.work:
            self.charge(nbytes)
        self.work -= nbytes
        if not self.ranges.settled:
            self.ranges.add_parsed(offset, nbytes)
        elif self.ranges.hits(offset, nbytes):
            raise _overlap(self.name, offset)
        return 0

    cdef int verify(self, uint64_t offset, uint64_t nbytes) except -1:
        cdef Cursor c
        cdef uint32_t computed
        if nbytes > self.end:
            self.inside(offset, nbytes, "structure")
        self.view(&c, offset, nbytes + 4)
        computed = lookup3(run(&c, nbytes), nbytes, 0)
        return self.compare(computed, u32(&c), offset + nbytes)

    cdef bint verifies(self) noexcept:
        return VERIFY

    cdef int compare(self, uint32_t computed, uint32_t stored, uint64_t offset) except -1:
        if computed != stored and VERIFY:
            raise ChecksumError(f"checksum: expected {computed:#010x}, found {stored:#010x}",
                                source=self.name, offset=offset, field="checksum")
        return 0

    cdef int corrupt(self, str what, uint64_t offset, str field=None) except -1:
        raise CorruptError(what, source=self.name, offset=offset, field=field)

    cdef int unsupported(self, str what, uint64_t offset, str field=None) except -1:
        raise UnsupportedError(what, source=self.name, offset=offset, field=field)
