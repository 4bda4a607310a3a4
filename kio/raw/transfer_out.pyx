"""transfer_out: the writing direction of the one mover.

Pieces (where in the sink, and the bytes that belong there) are sorted by place.  Pieces
that are near each other form a *run*: the bytes between them are known to be zero and are
written with them.  Runs are cut into *jobs* at multiples of 512 KiB, and threads without the
GIL work them off in file order: put the job's bytes together in a buffer, sum them while
they pass, write the buffer.

Where the result must be on the disk at the end, whole pages bypass the page cache
(O_DIRECT).  The kernel's own copy and its write-back are then saved, several writes are
under way at a time, and the fsync finds nothing left to do.  What is no whole page, and
every page somebody else wrote to, goes through the page cache; the two never share a page.

Sums are taken over ranges of the *result*, zeros between pieces included, so that a zip
member's CRC is one range, whatever lies in it.
"""

import os
import threading

import numpy as np

from kio.errors import TruncatedError

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
    PyThread_type_lock, WAIT_LOCK,
)
from libc.errno cimport EINVAL, EIO, errno
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy, memset

from kio.raw cimport kernels
from kio.raw.memory cimport grow
from kio.raw.platform cimport (
    kio_advise_written, kio_pread, kio_pwrite, kio_release, kio_reserve,
)
from kio.raw.sink cimport Sink
from kio.raw.source cimport Descriptor, Origin, Origins, Source
from kio.raw.tensor cimport Extent

cdef enum:
    PAGE = 4096
    BLOCK = 512 << 10       # one job and its buffer, which stays in the core's own cache
    EARLY = 4 << 20         # write-back of what went through the page cache begins in such parts
    SHARE = 4 << 20         # bytes that make another thread worth starting
    FILL = 8 << 10          # a gap up to this size is cheaper written than skipped
    DIRECT_RUN = 256 << 10  # a run with fewer whole pages than this goes through the page cache
    DIRECT_TOTAL = 8 << 20  # and so does a write of less than this
    BATCH = 8 << 20         # pieces made on demand are made so many bytes ahead
    MAX_THREADS = 16        # 8 MiB of buffers

# What a job may end with.
cdef enum Outcome:
    DONE
    OS_ERROR                # writing; errno in Job.number
    READ_ERROR              # reading a piece's source; errno in Job.number
    SHORT                   # the source ended
    NO_MEMORY
    RAISED                  # a Python exception, kept in Batch.raised

cdef struct Piece:
    uint64_t offset         # in the sink
    uint64_t nbytes
    const uint8_t *src      # NULL: in an origin, or not made yet
    uint64_t at             # in the origin
    int32_t origin          # -1 for memory
    int32_t lazy            # in Writing.lazies, -1 for none

cdef struct Span:           # part of a job that is summed by itself
    uint64_t offset
    uint64_t nbytes
    uint32_t crc

cdef struct Job:
    uint64_t offset
    uint64_t nbytes
    size_t piece            # first one that reaches into it
    size_t span
    size_t nspans
    bint direct
    int outcome
    uint64_t number
    int32_t origin          # of the piece that failed

cdef struct Walk:           # how far a job has come
    uint64_t at
    size_t piece
    size_t span


cdef int by_place(const void *a, const void *b) noexcept nogil:
    cdef uint64_t x = (<const Piece *>a).offset, y = (<const Piece *>b).offset
    return (x > y) - (x < y)


cdef class Lazy:
    """Bytes that are made when their turn comes, a few MiB ahead of the disk.

    Args:
        nbytes: How many.
        make: Called once, from the thread that called ``write``; returns a piece's source.
    """
    cdef readonly uint64_t nbytes
    cdef readonly object make

    def __init__(self, uint64_t nbytes, make):
        self.nbytes, self.make = nbytes, make


cdef class Held:
    """A buffer that can neither be freed nor resized while it is being written."""
    cdef Py_buffer view

    def __cinit__(self, what):
        PyObject_GetBuffer(what, &self.view, PyBUF_SIMPLE)

    def __dealloc__(self):
        PyBuffer_Release(&self.view)       # of a buffer that was never got: nothing


cdef class Writing(Origins):
    """One call: pieces, what is summed, and the buffers that threads share."""
    cdef Sink sink
    cdef list keep               # buffers, until the end
    cdef list lazies
    cdef list asked              # (offset, nbytes) of each piece, in the caller's order
    cdef Piece *pieces
    cdef Span *spans             # of all finished batches, in file order
    cdef uint64_t *cuts          # where a range begins or ends,
    cdef uint8_t *summed         # and whether bytes after it are in any
    cdef size_t npieces, cap_pieces, nspans, cap_spans, ncuts
    cdef size_t cut              # the first after the last planned job
    cdef bint castagnoli
    cdef int fd                  # -1: memory or a file object
    cdef int direct_fd           # -1: everything through the page cache
    cdef uint8_t *memory         # byte 0 of a sink in memory, or NULL
    cdef uint64_t base
    cdef bint flushing           # begin write-back early
    cdef uint64_t total, done
    cdef object progress
    cdef PyThread_type_lock lock
    cdef uint8_t *idle[MAX_THREADS + 1]
    cdef int nidle

    def __cinit__(self):
        self.keep, self.lazies, self.asked = [], [], []
        self.fd = self.direct_fd = -1
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError()

    def __dealloc__(self):
        while self.nidle:
            self.nidle = self.nidle - 1
            kio_release(self.idle[self.nidle], BLOCK)
        free(self.pieces)
        free(self.spans)
        free(self.cuts)
        free(self.summed)
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    # ---- what is asked for -> pieces

    cdef int want(self, uint64_t offset, what) except -1:
        cdef Piece piece
        cdef Piece *p
        if isinstance(what, np.ndarray) and not what.flags.c_contiguous:
            array = what
            what = Lazy(array.nbytes, lambda: np.ascontiguousarray(array))
        piece.offset, piece.lazy = offset, -1
        if isinstance(what, Lazy):
            piece.nbytes, piece.src, piece.origin, piece.at = (<Lazy>what).nbytes, NULL, -1, 0
            piece.lazy = <int32_t>len(self.lazies)
            self.lazies.append(what)
        else:
            self.locate(&piece, what, self.keep)
        if offset + piece.nbytes < offset or offset + piece.nbytes > (<uint64_t>1 << 62):
            raise OverflowError(f"piece at byte {offset} of {self.sink.name}")
        self.asked.append((offset, piece.nbytes))
        if piece.nbytes == 0:
            return 0
        grow(<void **>&self.pieces, &self.cap_pieces, self.npieces + 1, sizeof(Piece))
        p = self.pieces + self.npieces
        p[0] = piece
        self.npieces += 1
        self.total += piece.nbytes
        return 0

    cdef int locate(self, Piece *piece, what, list keep) except -1:
        """Fill in where the bytes of a source are."""
        cdef Held held
        cdef Extent extent
        piece.src, piece.origin, piece.at = NULL, -1, 0
        if isinstance(what, tuple):
            address, piece.nbytes = what
            piece.src = <const uint8_t *><uintptr_t>address
        elif isinstance(what, Extent):
            extent = what
            if extent.offset > extent.source.nbytes or extent.nbytes > extent.source.nbytes - extent.offset:
                raise TruncatedError(
                    f"stored run: expected {extent.nbytes} bytes, found "
                    f"{extent.source.nbytes - min(extent.source.nbytes, extent.offset)}",
                    source=extent.source.name, offset=extent.offset)
            piece.origin = self.origin(extent.source)
            piece.nbytes, piece.at = extent.nbytes, extent.source.base + extent.offset
        elif isinstance(what, Source):
            piece.origin = self.origin(what)
            piece.nbytes, piece.at = (<Source>what).nbytes, (<Source>what).base
        else:
            if isinstance(what, np.ndarray) and what.dtype.isbuiltin == 2:
                # ml_dtypes' types are unknown to the buffer protocol, their bytes are not.
                what = what.reshape(-1).view(np.uint8)
            held = Held(what)
            keep.append(held)
            piece.nbytes, piece.src = held.view.len, <const uint8_t *>held.view.buf
        return 0

    cdef int settle(self) except -1:
        """Sort the pieces, and see that they do not overlap."""
        cdef size_t i
        if self.npieces:      # qsort may not be given NULL, not even for nothing
            qsort(self.pieces, self.npieces, sizeof(Piece), &by_place)
        for i in range(1, self.npieces):
            if self.pieces[i].offset < self.pieces[i - 1].offset + self.pieces[i - 1].nbytes:
                raise ValueError(f"pieces of {self.sink.name}: expected no overlap, found one at byte "
                                 f"{self.pieces[i].offset}")
        if self.npieces:
            i = self.npieces - 1
            self.sink.reserve(self.pieces[i].offset + self.pieces[i].nbytes)
        return 0

    cdef int cover(self, ranges) except -1:
        """Note where the ranges to sum begin and end."""
        cdef size_t n = 0
        change = {}
        for first, nbytes in ranges:
            if nbytes:
                self.known(first, first + nbytes)
                change[first] = change.get(first, 0) + 1
                change[first + nbytes] = change.get(first + nbytes, 0) - 1
        self.cuts = <uint64_t *>malloc((len(change) + 1) * sizeof(uint64_t))
        self.summed = <uint8_t *>malloc(len(change) + 1)
        if self.cuts == NULL or self.summed == NULL:
            raise MemoryError()
        depth = 0
        for at in sorted(change):
            depth += change[at]
            self.cuts[n], self.summed[n] = at, depth > 0
            n += 1
        self.ncuts = n
        return 0

    cdef int known(self, uint64_t first, uint64_t last) except -1:
        """Refuse to sum bytes that an earlier write put there: they are not seen again."""
        cdef size_t low = 0, high = self.npieces, middle
        cdef uint64_t at = first
        if not self.sink.starts:
            return 0
        while low < high:
            middle = (low + high) // 2
            if self.pieces[middle].offset + self.pieces[middle].nbytes <= first:
                low = middle + 1
            else:
                high = middle
        while at < last:
            if low < self.npieces and self.pieces[low].offset < last:
                high = self.pieces[low].offset
            else:
                high = last
            if at < high and self.sink.touched(at, high):
                raise ValueError(f"checksum of bytes {first} to {last} of {self.sink.name}: "
                                 "expected pieces for all of them, found some written before")
            if high == last:
                return 0
            at = self.pieces[low].offset + self.pieces[low].nbytes
            low += 1
        return 0

    # ---- buffers

    cdef uint8_t *borrow(self) noexcept nogil:
        """A buffer of one BLOCK, page aligned; NULL without memory."""
        cdef uint8_t *p = NULL
        PyThread_acquire_lock(self.lock, WAIT_LOCK)
        if self.nidle:
            self.nidle = self.nidle - 1
            p = self.idle[self.nidle]
        PyThread_release_lock(self.lock)
        if p == NULL:
            p = <uint8_t *>kio_reserve(BLOCK)
        return p

    cdef void give_back(self, uint8_t *p) noexcept nogil:
        if p == NULL:
            return
        PyThread_acquire_lock(self.lock, WAIT_LOCK)
        if self.nidle <= MAX_THREADS:
            self.idle[self.nidle] = p
            self.nidle = self.nidle + 1
            p = NULL
        PyThread_release_lock(self.lock)
        if p != NULL:
            kio_release(p, BLOCK)

    # ---- running

    cdef int execute(self, int threads) except -1:
        """Make, plan and write batch after batch."""
        cdef Source source
        cdef Batch batch, previous = None
        cdef size_t first = 0, last = 0
        pinned = []
        try:
            for source in self.sources:
                if source.descriptor is not None:
                    source.descriptor.pin()
                    pinned.append(source.descriptor)
            for descriptor in (self.sink.descriptor, self.sink.direct):
                if descriptor is not None:
                    (<Descriptor>descriptor).pin()
                    pinned.append(descriptor)
            while first < self.npieces:
                last = self.reach(first)
                # While this batch is being made, the one before it is being written.
                batch = Batch(self)
                batch.make(first, last)
                batch.plan(first, last)
                if previous is not None:
                    previous.finish()
                previous = batch
                # A sink that cannot seek has one writer, who takes the jobs in order.
                batch.start(threads if last < self.npieces and self.sink.seekable else threads - 1)
                first = last
            if previous is not None:
                previous.finish()
                previous = None
        finally:
            if previous is not None:
                previous.cancel()
            for descriptor in pinned:
                (<Descriptor>descriptor).unpin()
        return 0

    cdef size_t reach(self, size_t first) noexcept:
        """The piece after those of the batch that begins with first."""
        cdef uint64_t made = 0
        cdef size_t i = first
        while i < self.npieces:
            if self.pieces[i].lazy >= 0:
                if made and made + self.pieces[i].nbytes > BATCH:
                    break
                made += self.pieces[i].nbytes
            i += 1
        return i

    cdef int report(self) except -1:
        """Let a signal end the write, and say how far it is."""
        PyErr_CheckSignals()
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)
        return 0

    # ---- sums

    cdef uint32_t join(self, uint32_t crc1, uint32_t crc2, uint64_t nbytes2) noexcept:
        if self.castagnoli:
            return kernels.crc32c_combine(crc1, crc2, nbytes2)
        return kernels.crc32_combine(crc1, crc2, nbytes2)

    cdef uint32_t zeros(self, uint64_t nbytes) noexcept:
        """The sum of so many zero bytes, by doubling."""
        cdef uint8_t zero = 0
        cdef uint32_t out = 0, unit
        cdef uint64_t n = 1
        unit = kernels.crc32c(0, &zero, 1) if self.castagnoli else kernels.crc32(0, &zero, 1)
        while nbytes:
            if nbytes & 1:
                out = self.join(out, unit, n)
            unit = self.join(unit, unit, n)
            n *= 2
            nbytes >>= 1
        return out

    cdef uint32_t sum(self, uint64_t first, uint64_t last) noexcept:
        """Join the spans of [first, last); what no job covered is zero."""
        cdef size_t low = 0, high = self.nspans, middle
        cdef uint64_t at = first, edge
        cdef uint32_t crc = 0
        while low < high:
            middle = (low + high) // 2
            if self.spans[middle].offset < first:
                low = middle + 1
            else:
                high = middle
        while at < last:
            edge = last
            if low < self.nspans and self.spans[low].offset < last:
                edge = self.spans[low].offset
            if edge > at:
                crc = self.join(crc, self.zeros(edge - at), edge - at)
                at = edge
            else:
                crc = self.join(crc, self.spans[low].crc, self.spans[low].nbytes)
                at += self.spans[low].nbytes
                low += 1
        return crc


cdef class Batch:
    """Jobs, and the threads that work on them."""
    cdef Writing writing
    cdef list keep               # what was made for it
    cdef list helpers
    cdef Job *jobs
    cdef Span *spans
    cdef size_t njobs, cap_jobs, nspans, cap_spans
    cdef PyThread_type_lock lock
    cdef size_t next_job
    cdef ssize_t failed          # first failing job, -1
    cdef bint stop
    cdef object raised

    def __cinit__(self, Writing writing):
        self.writing, self.keep, self.helpers = writing, [], []
        self.failed = -1
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.jobs)
        free(self.spans)
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    # ---- pieces -> jobs

    cdef int make(self, size_t first, size_t last) except -1:
        cdef Writing w = self.writing
        cdef Piece made
        cdef Lazy lazy
        cdef size_t i
        for i in range(first, last):
            if w.pieces[i].lazy < 0:
                continue
            lazy = w.lazies[w.pieces[i].lazy]
            what = lazy.make()
            if isinstance(what, np.ndarray):
                what = np.ascontiguousarray(what)
            w.locate(&made, what, self.keep)
            if made.nbytes != lazy.nbytes:
                raise ValueError(f"piece at byte {w.pieces[i].offset} of {w.sink.name}: "
                                 f"expected {lazy.nbytes} bytes, found {made.nbytes}")
            if made.origin >= 0:
                raise TypeError("a piece made on demand: expected bytes in memory, found those of a file")
            w.pieces[i].src = made.src
        return 0

    cdef int plan(self, size_t first, size_t last) except -1:
        """Runs of neighbours, padded to whole pages where that is allowed, as jobs."""
        cdef Writing w = self.writing
        cdef Piece *p = w.pieces
        cdef uint64_t begin, end, a, b
        cdef size_t i = first, j
        while i < last:
            j = i
            end = p[j].offset + p[j].nbytes
            while (j + 1 < last and p[j + 1].offset - end <= FILL
                   and not w.sink.touched(end, p[j + 1].offset)):
                j += 1
                end = p[j].offset + p[j].nbytes
            begin = a = p[i].offset
            b = end
            if w.direct_fd >= 0 and end - begin >= DIRECT_RUN:
                # The rest of a page that nobody wrote to is zero, and may be written as such.
                a = begin // PAGE * PAGE
                if w.sink.touched(a, begin):
                    a = begin
                b = (end + PAGE - 1) // PAGE * PAGE
                if b > w.sink.nbytes or w.sink.touched(end, b) or \
                        (j + 1 < w.npieces and p[j + 1].offset < b):
                    b = end
                begin = (a + PAGE - 1) // PAGE * PAGE
                end = b // PAGE * PAGE
                self.emit(a, begin, i, False)
                self.emit(begin, end, i, True)
                self.emit(end, b, i, False)
            else:
                self.emit(a, b, i, False)
            w.sink.mark(a, b)
            i = j + 1
        return 0

    cdef int emit(self, uint64_t offset, uint64_t end, size_t piece, bint direct) except -1:
        """Jobs for the bytes [offset, end)."""
        cdef Writing w = self.writing
        cdef Job *job
        cdef uint64_t edge
        while offset < end:
            edge = min(end, (offset // BLOCK + 1) * BLOCK)
            while w.pieces[piece].offset + w.pieces[piece].nbytes <= offset and piece + 1 < w.npieces:
                piece += 1
            grow(<void **>&self.jobs, &self.cap_jobs, self.njobs + 1, sizeof(Job))
            job = self.jobs + self.njobs
            job.offset, job.nbytes, job.piece, job.direct = offset, edge - offset, piece, direct
            job.outcome, job.number, job.origin = DONE, 0, -1
            job.span = self.nspans
            self.divide(offset, edge)
            job.nspans = self.nspans - job.span
            self.njobs += 1
            offset = edge
        return 0

    cdef int divide(self, uint64_t at, uint64_t end) except -1:
        """Spans for the summed parts of [at, end), one between any two cuts."""
        cdef Writing w = self.writing
        cdef uint64_t edge
        while at < end:
            while w.cut < w.ncuts and w.cuts[w.cut] <= at:
                w.cut += 1
            edge = min(end, w.cuts[w.cut]) if w.cut < w.ncuts else end
            if w.cut and w.summed[w.cut - 1]:
                grow(<void **>&self.spans, &self.cap_spans, self.nspans + 1, sizeof(Span))
                self.spans[self.nspans].offset = at
                self.spans[self.nspans].nbytes = edge - at
                self.spans[self.nspans].crc = 0
                self.nspans += 1
            at = edge
        return 0

    # ---- jobs -> bytes

    cdef int fetch(self, Job *job, const Piece *piece, uint8_t *dst, uint64_t at, size_t nbytes) noexcept nogil:
        """Read nbytes at ``at`` of the piece's origin."""
        cdef const Origin *origin = self.writing.origins + piece.origin
        cdef size_t have = 0
        cdef ssize_t got
        if origin.memory != NULL:
            memcpy(dst, origin.memory + at, nbytes)
            return DONE
        job.origin = piece.origin
        if origin.fd < 0:
            with gil:
                return self.fetch_slowly(piece.origin, dst, at, nbytes)
        while have < nbytes:
            got = kio_pread(origin.fd, dst + have, nbytes - have, at + have)
            if got < 0:
                job.number = errno
                return READ_ERROR
            if got == 0:
                job.number = at
                return SHORT
            have += got
        return DONE

    cdef int fetch_slowly(self, int32_t origin, uint8_t *dst, uint64_t at, size_t nbytes) noexcept:
        cdef Source source
        try:
            source = self.writing.sources[origin]
            source.fill(dst, at - source.base, nbytes)
            return DONE
        except BaseException as e:
            self.raised = e
            return RAISED

    cdef void add(self, Span *span, uint8_t *dst, const uint8_t *src, size_t nbytes) noexcept nogil:
        """Copy and sum; src NULL sums what is at dst."""
        if self.writing.castagnoli:
            if src == NULL:
                span.crc = kernels.crc32c(span.crc, dst, nbytes)
            else:
                span.crc = kernels.crc32c_copy(span.crc, dst, src, nbytes)
        elif src == NULL:
            span.crc = kernels.crc32(span.crc, dst, nbytes)
        else:
            span.crc = kernels.crc32_copy(span.crc, dst, src, nbytes)

    cdef int assemble(self, Job *job, Walk *walk, uint8_t *dst, size_t nbytes) noexcept nogil:
        """Put the next nbytes of the job at dst, summing them as they pass."""
        cdef const Piece *pieces = self.writing.pieces
        cdef size_t npieces = self.writing.npieces
        cdef uint64_t end = walk.at + nbytes, n
        cdef const Piece *piece
        cdef Span *span
        cdef int outcome
        while walk.at < end:
            n = end - walk.at
            piece = NULL
            while walk.piece < npieces and \
                    pieces[walk.piece].offset + pieces[walk.piece].nbytes <= walk.at:
                walk.piece += 1
            if walk.piece < npieces:
                piece = pieces + walk.piece
                if piece.offset > walk.at:
                    n = min(n, piece.offset - walk.at)
                    piece = NULL
                else:
                    n = min(n, piece.offset + piece.nbytes - walk.at)
            span = NULL
            while walk.span < job.span + job.nspans and \
                    self.spans[walk.span].offset + self.spans[walk.span].nbytes <= walk.at:
                walk.span += 1
            if walk.span < job.span + job.nspans:
                span = self.spans + walk.span
                if span.offset > walk.at:
                    n = min(n, span.offset - walk.at)
                    span = NULL
                else:
                    n = min(n, span.offset + span.nbytes - walk.at)
            if piece == NULL:
                memset(dst, 0, n)
                if span != NULL:
                    self.add(span, dst, NULL, n)
            elif piece.src != NULL:
                if span != NULL:
                    self.add(span, dst, piece.src + (walk.at - piece.offset), n)
                else:
                    memcpy(dst, piece.src + (walk.at - piece.offset), n)
            else:
                outcome = self.fetch(job, piece, dst, piece.at + (walk.at - piece.offset), n)
                if outcome:
                    return outcome
                if span != NULL:
                    self.add(span, dst, NULL, n)
            walk.at += n
            dst += n
        return DONE

    cdef int put(self, Job *job, const uint8_t *src, uint64_t offset, size_t nbytes) noexcept nogil:
        """Write all of src."""
        cdef int fd = self.writing.fd
        cdef uint64_t base = self.writing.base
        cdef ssize_t done
        cdef bint direct = job.direct
        if fd < 0:
            with gil:
                return self.put_slowly(src, offset, nbytes)
        while nbytes:
            if direct and self.writing.direct_fd >= 0:
                done = kio_pwrite(self.writing.direct_fd, src, nbytes, base + offset)
                if done < 0 and errno == EINVAL:
                    # This file system, or a disk with larger sectors, does not do it.
                    self.writing.direct_fd = -1
                    continue
                if done >= 0 and <size_t>done < nbytes:
                    # A short one ends anywhere: the rest begins at a page, not directly.
                    done = done // PAGE * PAGE
                    direct = False
                    src, offset, nbytes = src + done, offset + done, nbytes - done
                    continue
            else:
                done = kio_pwrite(fd, src, nbytes, base + offset)
            if done <= 0:
                job.number = errno if done < 0 else EIO
                return OS_ERROR
            src, offset, nbytes = src + done, offset + done, nbytes - done
        return DONE

    cdef int put_slowly(self, const uint8_t *src, uint64_t offset, size_t nbytes) noexcept:
        try:
            self.writing.sink.put(src, offset, nbytes)
            return DONE
        except BaseException as e:
            self.raised = e
            return RAISED

    cdef int write(self, Job *job, uint8_t *buffer) noexcept nogil:
        cdef const Piece *pieces = self.writing.pieces
        cdef bint file = self.writing.fd >= 0
        cdef Walk walk
        cdef const Piece *piece
        cdef uint64_t end = job.offset + job.nbytes
        cdef int outcome
        walk.at, walk.piece, walk.span = job.offset, job.piece, job.span
        if self.writing.memory != NULL:
            return self.assemble(job, &walk, self.writing.memory + job.offset, job.nbytes)
        piece = pieces + walk.piece
        if (not job.direct and file and job.nspans == 0 and piece.src != NULL
                and piece.offset <= job.offset and piece.offset + piece.nbytes >= end):
            # The kernel's copy is the only one needed.
            outcome = self.put(job, piece.src + (job.offset - piece.offset), job.offset, job.nbytes)
        else:
            outcome = self.assemble(job, &walk, buffer, job.nbytes)
            if not outcome:
                outcome = self.put(job, buffer, job.offset, job.nbytes)
        if not outcome and self.writing.flushing and end % EARLY == 0 and \
                not (job.direct and self.writing.direct_fd >= 0):
            kio_advise_written(self.writing.fd, self.writing.base + end - EARLY, EARLY)
        return outcome

    cdef void work(self, bint main) noexcept nogil:
        """Take jobs in order until none is left or one has failed."""
        cdef uint8_t *buffer = NULL
        cdef size_t number, taken = 0
        cdef Job *job
        cdef int outcome
        while True:
            PyThread_acquire_lock(self.lock, WAIT_LOCK)
            number = self.next_job
            if number >= self.njobs or self.stop:
                PyThread_release_lock(self.lock)
                break
            self.next_job = number + 1
            PyThread_release_lock(self.lock)
            job = self.jobs + number
            if buffer == NULL:
                buffer = self.writing.borrow()
            outcome = self.write(job, buffer) if buffer != NULL else NO_MEMORY
            PyThread_acquire_lock(self.lock, WAIT_LOCK)
            if outcome:
                job.outcome = outcome
                # The first in file order is reported, whichever thread was faster.
                if self.failed < 0 or <size_t>self.failed > number:
                    self.failed = number
                self.stop = True
            self.writing.done = self.writing.done + job.nbytes
            PyThread_release_lock(self.lock)
            taken += 1
            if main and taken % 8 == 0:
                with gil:
                    self.listen()
        self.writing.give_back(buffer)

    cdef void listen(self) noexcept:
        """Let KeyboardInterrupt, or the progress callback, end the write."""
        try:
            self.writing.report()
        except BaseException as e:
            self.raised = e
            self.stop = True

    def helper(self):
        with nogil:
            self.work(False)

    cdef int start(self, int threads) except -1:
        for _ in range(min(<ssize_t>threads, <ssize_t>self.njobs)):
            thread = threading.Thread(target=self.helper, name="kio-transfer-out", daemon=True)
            thread.start()
            self.helpers.append(thread)
        return 0

    cdef int finish(self) except -1:
        """Help until all is written; raise what the first failing job met."""
        cdef Writing w = self.writing
        with nogil:
            self.work(True)
        for thread in self.helpers:
            thread.join()
        if self.raised is not None:
            raise self.raised
        if self.failed >= 0:
            self.fail(self.jobs + self.failed)
        grow(<void **>&w.spans, &w.cap_spans, w.nspans + self.nspans, sizeof(Span))
        if self.nspans:
            memcpy(w.spans + w.nspans, self.spans, self.nspans * sizeof(Span))
        w.nspans += self.nspans
        self.keep = []
        return 0

    cdef int cancel(self) except -1:
        """Stop, and return when no thread uses what is being written any more."""
        self.stop = True
        for thread in self.helpers:
            while thread.is_alive():
                try:
                    thread.join()
                except KeyboardInterrupt:
                    pass         # one has stopped us already; a job is a moment's work
        return 0

    cdef int fail(self, const Job *job) except -1:
        cdef Source source
        if job.outcome == NO_MEMORY:
            raise MemoryError(f"{BLOCK} bytes to write {self.writing.sink.name}")
        if job.outcome == OS_ERROR:
            raise OSError(<object>job.number, os.strerror(job.number), self.writing.sink.name)
        source = self.writing.sources[job.origin]
        if job.outcome == READ_ERROR:
            raise OSError(<object>job.number, os.strerror(job.number), source.name)
        raise TruncatedError("read: expected more bytes, found the end; the file shrank while open",
                             source=source.name, offset=job.number - source.base)


def default_threads(nbytes, direct, memory=False):
    """Threads for writing nbytes: several writes under way make a disk fast, whatever the cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Through the page cache the writes to one file take turns, and waiting for one costs
    # more than it saves.
    return max(1, min(6 if direct else min(cores, 4) if memory else 1, 1 + nbytes // SHARE))


def write(sink, pieces, *, checksums=(), algorithm="crc32", threads=None, direct=None, progress=None):
    """Write payload into a sink, and sum it on the way.

    May be called many times for one sink; bytes between pieces that nobody has written are
    zero.  Compressed chunks, whose place is known only once they are compressed, are
    written by one call a group of them.

    Args:
        sink: A ``Sink`` that is open.
        pieces: Iterable of ``(offset, source)``, in any order, without overlap.  A source is
            an array or other buffer, ``(address, nbytes)``, a ``Source`` or an ``Extent`` of
            one, whose bytes are copied as they are stored, or a ``Lazy``.  Arrays that are
            not C-contiguous are copied when their turn comes.
        checksums: Ranges ``(offset, nbytes)`` of the sink to sum, which may overlap, or
            ``"pieces"`` for one a piece.  All bytes of a range must be pieces of this call,
            or bytes that nobody has written.
        algorithm: ``"crc32"`` (zip) or ``"crc32c"`` (TensorFlow).
        threads: Threads that write, this one included; None for a good number.
        direct: Whether whole pages may bypass the page cache; None decides by size and by
            whether the sink is durable.  Falls back where the system cannot.
        progress: Called from this thread with the bytes done and their total.
    Returns:
        The checksums, one a range.
    Raises:
        OSError: as the system reports it, naming the sink; abort the sink then.
        ValueError: if pieces overlap, or a range has bytes that were written before.
        io.UnsupportedOperation: if the sink cannot seek back to where a piece belongs.

    Memory: 512 KiB a thread, and for pieces made on demand twice 8 MiB, or two of them.
    """
    cdef Writing w = Writing()
    cdef Py_buffer view
    w.sink, w.progress = sink, progress
    if algorithm not in ("crc32", "crc32c"):
        raise ValueError(f"algorithm: expected 'crc32' or 'crc32c', found {algorithm!r}")
    if isinstance(checksums, str) and checksums != "pieces":
        raise ValueError(f"checksums: expected ranges or 'pieces', found {checksums!r}")
    w.castagnoli = algorithm == "crc32c"
    w.sink.check_open()
    for offset, source in pieces:
        w.want(offset, source)
    w.settle()
    ranges = w.asked if isinstance(checksums, str) else [(int(a), int(n)) for a, n in checksums]
    w.cover(ranges)
    w.base = w.sink.base
    if w.sink.descriptor is not None:
        w.fd = w.sink.descriptor.fd
        w.flushing = w.sink.durable
        if direct if direct is not None else w.sink.durable and w.total >= DIRECT_TOTAL:
            w.direct_fd = w.sink.direct_fd()
    if threads is None:
        threads = default_threads(w.total, w.direct_fd >= 0, type(w.sink.owner) is bytearray)
    threads = max(1, min(threads, MAX_THREADS)) if w.sink.seekable else 1
    if w.npieces and type(w.sink.owner) is bytearray:
        PyObject_GetBuffer(w.sink.owner, &view, PyBUF_WRITABLE)
        try:
            w.memory = <uint8_t *>view.buf
            w.execute(threads)
        finally:
            PyBuffer_Release(&view)
    else:
        w.execute(threads)
    if progress is not None:
        progress(w.total, w.total)
    return [w.sum(first, first + nbytes) for first, nbytes in ranges]
