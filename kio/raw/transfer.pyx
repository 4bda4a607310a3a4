"""transfer: the one module that moves tensor bytes.

What is asked for is cut into *jobs* (see ``jobs``), and threads without the GIL work them off
in file order.  Where a tensor has checksums of its own they are compared as the bytes pass.
Where many bytes have one checksum over them all (a zip member's CRC-32, a run's CRC-32C) and it
is to be verified, each job sums its part while the bytes are still in the cache, and the parts are
combined at the end.
"""

import os
import sys
import threading

import numpy as np

from kio.errors import ChecksumError, CorruptError, TruncatedError
from kio.raw.memory import allocate
from kio.raw.tensor import read_by

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
    PyThread_type_lock, WAIT_LOCK,
)
from libc.errno cimport errno
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from kio.raw cimport codecs, kernels
from kio.raw.jobs cimport (
    BLOCK, DIRECT, NEAR, WIN, WINDOW, Chunk, Job, Jobs, Piece, Region, Span, region_of,
)
from kio.raw.kernels cimport KIO_CHECKSUM, KIO_LIMIT, KIO_TRUNCATED
from kio.raw.memory cimport HUGE, populate, prepare
from kio.raw.platform cimport (
    kio_advise_small, kio_advise_soon, kio_is_cached, kio_nap, kio_populate, kio_pread,
)
from kio.raw.source cimport Descriptor, Origin, Source
from kio.raw.tensor cimport SUM_BLOCK, Extent, Tensor

cdef enum:
    HOT = 128 << 10        # read and sum in pieces of this size, so that the sum hits the cache
    FRESH = HUGE           # pages asked for at a time, just before they are filled
    POPULATED = 64 << 10   # fewer bytes get theirs as they are touched
    AHEAD = 64 << 20       # cold files: ask for this much beyond what is being read,
    ASKED = 8 << 20        # in requests of this size
    NAP_US = 200
    PROBES = 16            # places looked at to tell whether a file is cold

# Beyond enum kio_status: what a job may end with.
cdef enum Outcome:
    OS_ERROR = 100         # errno in Job.number
    SHORT                  # the file ended; bytes read in Job.number
    NO_MEMORY
    WRONG_SIZE             # decoded bytes in Job.number
    WRONG_SUM              # of a block; its sum in Job.found, its place in Job.number
    RAISED                 # a Python exception, kept in Run.raised


cdef inline uint32_t sum_of(bint castagnoli, uint32_t crc, const void *src, size_t nbytes) noexcept nogil:
    return kernels.crc32c(crc, src, nbytes) if castagnoli else kernels.crc32(crc, src, nbytes)


cdef inline uint32_t sum_copy(
        bint castagnoli, uint32_t crc, void *dst, const void *src, size_t nbytes) noexcept nogil:
    """The sum of bytes that are copied on the way."""
    return kernels.crc32c_copy(crc, dst, src, nbytes) if castagnoli else kernels.crc32_copy(crc, dst, src, nbytes)


cdef inline uint32_t combined(bint castagnoli, uint32_t crc, uint32_t behind, uint64_t nbytes) noexcept nogil:
    return kernels.crc32c_combine(crc, behind, nbytes) if castagnoli else kernels.crc32_combine(crc, behind, nbytes)


cdef class Run(Jobs):
    """One call's jobs and threads."""
    cdef list keep               # destinations, until the run ends
    cdef PyThread_type_lock lock
    cdef size_t next_job
    cdef ssize_t failed          # first failing job, -1
    cdef bint stop
    cdef bint fresh              # destinations have no pages yet
    cdef bint slow               # and huge ones, which they may wait for, are long in coming
    cdef bint cold               # much of what is to be read is not in the page cache
    cdef uint64_t taken          # bytes of the jobs before next_job
    cdef object raised

    def __cinit__(self):
        self.keep = []
        self.failed = -1
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef int fetch(self, Job *job, uint8_t *dst, uint64_t offset, size_t nbytes) noexcept nogil:
        """Read exactly nbytes of the job's origin; 0, or an Outcome with job.number set."""
        cdef Origin *origin = self.origins + job.origin
        cdef size_t have = 0
        cdef ssize_t got
        if origin.memory != NULL:
            memcpy(dst, origin.memory + offset, nbytes)
            return 0
        if origin.fd < 0:
            with gil:
                return self.fetch_slowly(job, dst, offset, nbytes)
        while have < nbytes:
            got = kio_pread(origin.fd, dst + have, nbytes - have, offset + have)
            if got < 0:
                job.number = errno
                return OS_ERROR
            if got == 0:
                job.number = have
                return SHORT
            have += got
        return 0

    cdef int fetch_slowly(self, Job *job, uint8_t *dst, uint64_t offset, size_t nbytes) noexcept:
        cdef Source source
        try:
            if job.span >= 0:
                (<Span>self.spans[job.span]).copy(dst, offset, nbytes)
            else:
                source = self.sources[job.origin]
                source.fill(dst, offset - source.base, nbytes)
            return 0
        except BaseException as e:
            self.raised = e
            return RAISED

    cdef void leave(self, const Job *job) noexcept:
        """A job of a span is done: with the last one its bytes go."""
        cdef Span span = self.spans[job.span]
        span.left -= 1
        if not span.left:
            span.data = None

    cdef int compare_sum(self, Job *job, uint32_t expected, uint32_t found, uint64_t at) noexcept nogil:
        """0 if both are the same; at is where in the origin their bytes begin."""
        if expected == found:
            return 0
        job.expected, job.found, job.number = expected, found, at
        return WRONG_SUM

    cdef void do_without(self, Job *job) noexcept nogil:
        """Small pages for this job and all that follow.

        In one go: such advice stops every thread that waits for pages.
        """
        cdef Job *end = self.jobs + self.njobs
        cdef uint8_t *first = job.dst
        cdef uint8_t *last = job.dst
        if self.slow:
            return
        self.slow = True
        while job < end:
            if job.kind == DIRECT:
                if job.dst < last or job.dst > last + NEAR:
                    kio_advise_small(first, last - first)
                    first = job.dst
                last = job.dst + job.nbytes
            job += 1
        kio_advise_small(first, last - first)

    cdef int direct(self, Job *job) noexcept nogil:
        cdef uint64_t at = 0, ready = 0, begun = 0, n
        cdef int outcome
        cdef uint32_t crc = 0
        cdef const uint8_t *memory = self.origins[job.origin].memory
        cdef bint summing = job.summed or job.sums != NULL
        # Of what is far a request is dear, and pages are not.
        cdef bint fresh = self.fresh and (memory != NULL or self.origins[job.origin].fd >= 0)
        while at < job.nbytes:
            if fresh and at == ready:
                ready = min(job.nbytes, at + FRESH)
                if self.slow:
                    kio_populate(job.dst + at, ready - at)
                elif populate(job.dst + at, ready - at):
                    self.do_without(job)
            n = (ready if fresh else job.nbytes) - at
            if summing or job.swap:
                n = min(n, <uint64_t>HOT)
            if job.sums != NULL:
                n = min(n, SUM_BLOCK - at % SUM_BLOCK)
            if summing and memory != NULL:
                crc = sum_copy(job.castagnoli, crc, job.dst + at, memory + job.offset + at, n)
            else:
                outcome = self.fetch(job, job.dst + at, job.offset + at, n)
                if outcome:
                    return outcome
                if summing:
                    crc = sum_of(job.castagnoli, crc, job.dst + at, n)
            if job.swap:
                kernels.swap(job.dst + at, job.dst + at, n // job.swap, job.swap)
            at += n
            if job.sums != NULL and (at % SUM_BLOCK == 0 or at == job.nbytes):
                outcome = self.compare_sum(job, job.sums[begun // SUM_BLOCK], crc, job.offset + begun)
                if outcome:
                    return outcome
                if job.summed:
                    job.crc = combined(job.castagnoli, job.crc, crc, at - begun)
                begun, crc = at, 0
        if job.sums == NULL:
            job.crc = crc
        return 0

    cdef int windowed(self, Job *job, uint8_t *scratch) noexcept nogil:
        cdef const uint8_t *bytes = scratch
        cdef size_t i
        cdef int outcome
        cdef uint32_t crc
        cdef Piece *piece
        if self.origins[job.origin].memory != NULL:
            bytes = self.origins[job.origin].memory + job.offset
        else:
            outcome = self.fetch(job, scratch, job.offset, job.nbytes)
            if outcome:
                return outcome
        if job.summed or job.sums != NULL:
            job.crc = sum_of(job.castagnoli, 0, bytes, job.nbytes)
        if job.sums != NULL:
            outcome = self.compare_sum(job, job.sums[0], job.crc, job.offset)
            if outcome:
                return outcome
        for i in range(job.first, job.first + job.npieces):
            piece = self.pieces + i
            if piece.sums != NULL:
                # Such a piece is one block.
                if piece.dst != NULL and not piece.swap:
                    crc = sum_copy(piece.whole, 0, piece.dst, bytes + piece.at, piece.nbytes)
                else:
                    crc = sum_of(piece.whole, 0, bytes + piece.at, piece.nbytes)
                outcome = self.compare_sum(job, piece.sums[0], crc, job.offset + piece.at)
                if outcome:
                    job.tensor, job.castagnoli = piece.tensor, piece.whole
                    return outcome
                if not piece.swap:
                    continue
            if piece.dst == NULL:
                continue
            if piece.swap:
                kernels.swap(piece.dst, bytes + piece.at, piece.nbytes // piece.swap, piece.swap)
            else:
                memcpy(piece.dst, bytes + piece.at, piece.nbytes)
        return 0

    cdef int decode(self, Job *job, uint8_t *a, uint8_t *b) noexcept nogil:
        """CHUNK: bytes go back and forth between the scratch buffers a and b, codec by codec."""
        cdef Chunk *chunk = self.chunks + job.chunk
        cdef const uint8_t *now
        cdef uint8_t *to
        cdef size_t n = job.nbytes, got = 0, room
        cdef int i, outcome
        # The last step may write where the bytes belong.
        cdef uint8_t *home = NULL
        cdef uint64_t *dims = self.dims + chunk.dims
        if chunk.dst != NULL and chunk.run_nbytes == chunk.nbytes:
            home = chunk.dst + chunk.run_at
            if self.fresh and chunk.nbytes >= POPULATED:
                populate(home, chunk.nbytes)
        if chunk.nsteps == 0 and home != NULL:
            a = home
        if self.origins[job.origin].memory != NULL and a != home:
            now = self.origins[job.origin].memory + job.offset
        else:
            outcome = self.fetch(job, a, job.offset, n)
            if outcome:
                return outcome
            now = a
        if job.summed or job.compared:
            job.crc = sum_of(job.castagnoli, 0, now, n)
        if job.compared:
            outcome = self.compare_sum(job, chunk.sum, job.crc, job.offset)
            if outcome:
                return outcome
        for i in range(chunk.nsteps):
            if codecs.in_place(&chunk.steps[i]):
                to, room = NULL, 0
            elif home != NULL and i == chunk.nsteps - 1:
                to, room = home, chunk.nbytes
            else:
                to = b if now == a else a
                room = chunk.nbytes + codecs.slack(&chunk.steps[i + 1], chunk.nsteps - i - 1)
            outcome = codecs.undo(&chunk.steps[i], to, room, now, n, &got)
            if outcome:
                return outcome
            n = got
            if to != NULL:
                now = to
        if n != chunk.nbytes:
            job.number = n
            return WRONG_SIZE
        if chunk.dst == NULL:
            return 0
        if home != NULL:
            if now != home:
                memcpy(home, now, n)
            if job.swap:
                kernels.swap(home, home, n // job.swap, job.swap)
            return 0
        if job.swap:
            to = b if now == a else a
            kernels.swap(to, now, n // job.swap, job.swap)
            now = to
        if chunk.run_nbytes:
            memcpy(chunk.dst + chunk.run_at, now, chunk.run_nbytes)
        else:
            kernels.place(chunk.dst, dims, dims + chunk.rank, now, dims + 2 * chunk.rank,
                          dims + 3 * chunk.rank, dims + 4 * chunk.rank, chunk.rank, chunk.itemsize)
        return 0

    cdef void look(self) noexcept:
        """Find out whether the bytes are in the page cache, from a few places of them."""
        cdef size_t i, step = max(self.njobs // PROBES, <size_t>1)
        cdef int looked = 0, missing = 0
        if self.total < AHEAD:
            return
        for i in range(0, self.njobs, step):
            if self.origins[self.jobs[i].origin].fd >= 0:
                looked += 1
                missing += not kio_is_cached(self.origins[self.jobs[i].origin].fd,
                                             self.jobs[i].offset + self.jobs[i].nbytes // 2)
        self.cold = 4 * missing > looked

    cdef void ask_ahead(self) noexcept nogil:
        """Cold: keep the device busy with what comes after the jobs at hand.

        A request for read-ahead takes time itself, as pages are found for it: threads that
        copy would spend half of theirs here.
        """
        cdef Job *job
        cdef uint64_t asked = 0, offset = 0, nbytes = 0
        cdef int fd = -1
        cdef size_t i
        for i in range(self.njobs):
            while asked > self.taken + AHEAD and not self.stop:
                kio_nap(NAP_US)
            if self.stop or self.next_job >= self.njobs:
                return
            job = self.jobs + i
            asked += job.nbytes
            if nbytes and (self.origins[job.origin].fd != fd or job.offset < offset
                           or job.offset > offset + nbytes + NEAR or nbytes >= ASKED):
                kio_advise_soon(fd, offset, nbytes)
                nbytes = 0
            if self.origins[job.origin].fd >= 0:
                if not nbytes:
                    fd, offset = self.origins[job.origin].fd, job.offset
                nbytes = job.offset + job.nbytes - offset
        if nbytes:
            kio_advise_soon(fd, offset, nbytes)

    cdef void work(self, bint main) noexcept nogil:
        """Take jobs in order until none is left or one has failed."""
        cdef uint8_t *window = NULL
        cdef uint8_t *a = NULL
        cdef uint8_t *b = NULL
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
            job = self.jobs + number
            self.taken = self.taken + job.nbytes
            PyThread_release_lock(self.lock)
            if window == NULL:
                window = <uint8_t *>malloc(WIN)
                a = <uint8_t *>malloc(self.scratch + 1)
                b = <uint8_t *>malloc(self.scratch + 1)
            if window == NULL or a == NULL or b == NULL:
                outcome = NO_MEMORY
            elif job.kind == DIRECT:
                outcome = self.direct(job)
            elif job.kind == WINDOW:
                outcome = self.windowed(job, window)
            else:
                outcome = self.decode(job, a, b)
            if job.span >= 0:
                with gil:
                    self.leave(job)
            if outcome:
                job.outcome = outcome
                PyThread_acquire_lock(self.lock, WAIT_LOCK)
                # The first in file order is reported, whichever thread was faster.
                if self.failed < 0 or <size_t>self.failed > number:
                    self.failed = number
                self.stop = True
                PyThread_release_lock(self.lock)
                break
            taken += 1
            if main and taken % 16 == 0:
                with gil:
                    self.listen()
        free(window)
        free(a)
        free(b)

    cdef void listen(self) noexcept:
        """Let KeyboardInterrupt end the run; only the main thread sees signals."""
        try:
            PyErr_CheckSignals()
        except BaseException as e:
            self.raised = e
            self.stop = True

    def helper(self):
        with nogil:
            self.work(False)

    def scout(self):
        with nogil:
            self.ask_ahead()

    cdef int execute(self, regions, threads) except -1:
        """Plan, run, check.  Raises what the first failing job met."""
        cdef Source source
        cdef Region region
        covered = self.plan(regions + list(self.regions.values()))
        pinned = []
        helpers = []
        try:
            for source in self.sources:
                if source.descriptor is not None:
                    source.descriptor.pin()
                    pinned.append(source.descriptor)
            if threads is None:
                threads = default_threads(self.total, self.scratch)
            self.look()
            targets = [self.helper] * (min(threads, <object>self.njobs) - 1)
            if self.cold:
                targets.insert(0, self.scout)
            for target in targets:
                thread = threading.Thread(target=target, name="kio-transfer", daemon=True)
                helpers.append(thread)
                thread.start()
            with nogil:
                self.work(True)
        finally:
            self.stop = True
            for thread in helpers:
                thread.join()
            for descriptor in pinned:
                (<Descriptor>descriptor).unpin()
        if self.raised is not None:
            raise self.raised
        if self.failed >= 0:
            self.fail(self.jobs + self.failed)
        for region, first, last in covered:
            if first is None:
                alone = Run()
                alone.execute([region], threads)
            else:
                self.compare(region, first, last)
        return 0

    cdef int compare(self, Region region, size_t first, size_t last) except -1:
        cdef uint32_t crc = 0
        cdef size_t i
        for i in range(first, last):
            crc = combined(region.castagnoli, crc, self.jobs[i].crc, self.jobs[i].nbytes)
        if crc == region.expected:
            return 0
        hint = "the stored bytes were changed after writing; use another copy of the file"
        if region.tensor is None:
            raise ChecksumError(f"CRC-32 of the member: expected {region.expected:#010x}, found {crc:#010x}",
                                source=region.source.name, hint=hint)
        raise ChecksumError(f"CRC-32C of stored data: expected {region.expected:#010x}, found {crc:#010x}",
                            source=region.source.name, tensor=region.tensor.name, offset=region.offset, hint=hint)

    cdef int fail(self, const Job *job) except -1:
        cdef Source source = self.sources[job.origin]
        name, tensor, offset = source.name, None, job.offset - source.base
        if job.tensor >= 0:
            asked = self.tensors[job.tensor]
            tensor = asked.name
            if asked.source is not None:
                name, offset = asked.source.name, job.offset - (<Source>asked.source).base
        where = {"source": name, "tensor": tensor, "offset": offset}
        if job.outcome == OS_ERROR:
            raise OSError(<object>job.number, os.strerror(job.number), name)
        if job.outcome == SHORT:
            raise TruncatedError(f"read: expected {job.nbytes} bytes, found fewer; "
                                 "the file shrank while open", **where)
        if job.outcome == NO_MEMORY:
            raise MemoryError(f"{self.scratch} bytes to decode a chunk of {tensor} in {name}")
        if job.outcome == WRONG_SUM:
            where["offset"] = job.number - job.offset + offset
            name_of = "CRC-32C" if job.castagnoli else "CRC-32"
            raise ChecksumError(f"{name_of} of stored data: expected {job.expected:#010x}, found {job.found:#010x}",
                                **where, hint="the stored bytes were changed after writing; "
                                "use another copy of the file")
        if job.outcome == KIO_CHECKSUM:
            raise ChecksumError("checksum of the chunk: stored and computed differ", **where)
        if job.outcome == KIO_TRUNCATED:
            raise TruncatedError("compressed chunk: expected more bytes, found the end", **where)
        expected = self.chunks[job.chunk].nbytes if job.chunk >= 0 else job.nbytes
        if job.outcome == WRONG_SIZE:
            raise CorruptError(f"decoded chunk: expected {expected} bytes, found {job.number}", **where)
        if job.outcome == KIO_LIMIT:
            raise CorruptError(f"decoded chunk: expected {expected} bytes, found more", **where)
        raise CorruptError("compressed chunk: the stream is damaged", **where)


def default_threads(nbytes, scratch=0):
    """Threads for a transfer of nbytes: no more than cores, work or memory for them allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Two chunk buffers a thread: stay near 64 MiB in all.
    fit = (48 << 20) // (2 * scratch) if scratch else cores
    return max(1, min(max(cores, 2), 8, 1 + nbytes // BLOCK, max(fit, 1)))


cdef bint has_sums(Tensor tensor) except -1:
    """Whether all that is stored of a tensor has checksums of its own."""
    if tensor.plain:
        return tensor.sums is not None
    return len(tensor.extents) > 0 and all([(<Extent>e).checksum is not None for e in tensor.extents])


cdef list regions_of(tensors, verify, members=None):
    """The checked sources around tensors that are to be verified.

    verify None takes those of which at least half is read anyway: then the sum is almost free.
    members None takes none for tensors that have checksums of their own, False none at all.
    """
    cdef Tensor tensor
    if verify is False or members is False:
        return []
    wanted = {}
    for tensor in tensors:
        if members is None and (not tensor.nelems or has_sums(tensor)):
            continue
        for source, nbytes in ([(tensor.source, tensor.nbytes)] if tensor.plain else
                               [((<Extent>e).source, (<Extent>e).nbytes) for e in tensor.extents]):
            checked = None if source is None else (<Source>source).checked
            if checked is not None:
                n = wanted.get(id(checked), (0, None))[0]
                wanted[id(checked)] = (n + nbytes, checked)
    return [region_of(source) for nbytes, source in wanted.values()
            if verify or 2 * nbytes >= (<Source>source).nbytes]


cdef uint8_t *address_of(out, Tensor tensor, uint64_t nbytes) except? NULL:
    """Where out's memory begins; out is a writable C-contiguous buffer or (address, nbytes)."""
    cdef Py_buffer view
    cdef uint8_t *address
    if isinstance(out, tuple):
        where, room = out
        if room != nbytes:
            raise ValueError(f"destination of {tensor.name}: expected {nbytes} bytes, found {room}")
        return <uint8_t *><uintptr_t>where
    if isinstance(out, np.ndarray) and out.dtype.kind == "V":
        # ml_dtypes' types are unknown to the buffer protocol, their bytes are not.
        out = out.view(f"V{out.dtype.itemsize}") if out.ndim else out.reshape(1).view(f"V{out.dtype.itemsize}")
    try:
        PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
    except (BufferError, ValueError) as e:
        raise ValueError(f"destination of {tensor.name}: expected writable C-contiguous memory; {e}") from None
    address, room = <uint8_t *>view.buf, view.len
    # The caller keeps out, and with it its memory, until the run has ended.
    PyBuffer_Release(&view)
    if room != nbytes:
        raise ValueError(f"destination of {tensor.name}: expected {nbytes} bytes, found {room}")
    return address if nbytes else NULL


def read(tensors, *, into=None, threads=None, verify=None, fresh=False, boxes=None):
    """Read tensors, or a box of each, in one pass over the file.

    Args:
        tensors: Sequence of ``Tensor``.
        into: For each tensor, memory to fill (writable C-contiguous array or buffer of as many
            bytes as are asked for, or ``(address, nbytes)``), or None for a new array.
        threads: Threads that read and decode, this one included; None for a good number.
        verify: True checks all checksums that the file has of the tensors, False only those
            that are part of a chunk's codecs, None all but those over members of which less
            than half is read.  Of boxes: True those of the tensor itself, for which blocks of
            1 MiB, or the run where it has one checksum, are read whole; None only those of chunks,
            which are read whole anyway, and of such runs of which half is asked for.
        fresh: The memory in ``into`` was never touched: it has no pages yet.
        boxes: For each tensor, ``(start, stop)`` in elements for every dimension, or None for
            all of it; None for all of each.
    Returns:
        A list with, for each tensor, the array (native byte order), or its entry of ``into``.
    Raises:
        FormatError: if stored bytes are damaged; what was read so far stays in ``into``.
        ValueError: for a box that is not inside its tensor, or memory of another size.
        OSError: as the system reports it.
    Reads: of a box the runs, blocks or chunks that hold it.
    """
    cdef Run run = Run()
    cdef Tensor tensor
    cdef uint8_t *dst
    cdef uint64_t nbytes
    run.verify = verify
    tensors = list(tensors)
    into = [None] * len(tensors) if into is None else list(into)
    boxes = [None] * len(tensors) if boxes is None else list(boxes)
    for given, what in ((into, "into"), (boxes, "boxes")):
        if len(given) != len(tensors):
            raise ValueError(f"{what}: expected {len(tensors)} entries, found {len(given)}")
    for tensor, box in zip(tensors, boxes):
        if box is not None:
            check_box(tensor, box)
        if tensor.stored is not None and tensor.problem is None:
            return _with_text(tensors, into, threads, verify, fresh, boxes)
    for tensor in tensors:
        if tensor.problem is not None:
            run.want(tensor, NULL, None, None)        # raises
    new = [tensor for tensor, out, box in zip(tensors, into, boxes) if out is None and box is None]
    arrays = iter(allocate(new))
    outs = [out if out is not None else next(arrays) if box is None else new_box(tensor, box)
            for tensor, out, box in zip(tensors, into, boxes)]
    run.keep = outs
    # Of boxes much is copied from windows: their pages come as they are touched.
    run.fresh = (fresh or bool(new)) and all([box is None for box in boxes])
    for tensor, out, box in zip(tensors, outs, boxes):
        nbytes = tensor.nbytes if box is None else nbytes_of_box(tensor, box)
        if isinstance(out, np.ndarray) and out.base is not None and nbytes and out.nbytes == 0:
            raise ValueError(f"destination of {tensor.name}: expected {nbytes} bytes, found none")
        dst = address_of(out, tensor, nbytes)
        if box is None:
            if fresh and nbytes >= (1 << 20):
                prepare(<char *>dst, nbytes)
            run.want(tensor, dst, None, None)
        else:
            run.want(tensor, dst, tuple([start for start, _ in box]), tuple([stop - start for start, stop in box]))
    run.execute(regions_of([tensor for tensor, box in zip(tensors, boxes) if box is None], verify), threads)
    return outs


cdef int check_box(Tensor tensor, box) except -1:
    """Refuse a box that is not inside its tensor."""
    if len(box) == len(tensor.shape):
        for (start, stop), extent in zip(box, tensor.shape):
            if not 0 <= start <= stop <= extent:
                break
        else:
            return 0
    raise ValueError(f"box of {tensor.name}: expected (start, stop) for each dimension of {tensor.shape}, found {box}")


cdef uint64_t nbytes_of_box(Tensor tensor, box) except? 0xDEAD:
    cdef uint64_t nbytes = tensor.itemsize
    for start, stop in box:
        nbytes *= <uint64_t>(stop - start)
    return nbytes


cdef object new_box(Tensor tensor, box):
    dtype = tensor.dtype if tensor.dtype.isnative else tensor.dtype.newbyteorder("=")
    return np.empty([stop - start for start, stop in box], dtype)


cdef list _with_text(list tensors, list outs, threads, verify, fresh, list boxes):
    """As ``read``, where some of the tensors are text."""
    cdef Tensor tensor
    cdef list stored = [], rest = []
    for i, tensor in enumerate(tensors):
        if tensor.stored is None:
            rest.append(i)
        elif outs[i] is not None:
            raise ValueError(f"destination of {tensor.name}: expected none, as it is text, found one")
        else:
            stored.append(i)
    # Of what is one run no part can be read alone.
    found = read([(<Tensor>tensors[i]).stored for i in stored], threads=threads, verify=verify,
                 boxes=[boxes[i] if (<Tensor>tensors[i]).decode.run is None else None for i in stored])
    for i, raw in zip(stored, found):
        tensor = tensors[i]
        outs[i] = tensor.decode(raw, tensor)
        if boxes[i] is not None and tensor.decode.run is not None:
            # The dots, as of a scalar NumPy would give the element.
            outs[i] = outs[i][tuple([slice(start, stop) for start, stop in boxes[i]]) + (...,)]
    found = read([tensors[i] for i in rest], into=[outs[i] for i in rest], threads=threads, verify=verify, fresh=fresh,
                 boxes=[boxes[i] for i in rest])
    for i, array in zip(rest, found):
        outs[i] = array
    return outs


def check(tensors, *, threads=None, verify=True, members=None):
    """Read tensors, verify every checksum, undo every codec, and keep nothing.

    Args:
        tensors, threads: As for ``read``.
        verify: As for ``read``.
        members: Whether checksums over whole members of an archive count: True, also where
            tensors have checksums of their own; False, not at all.

    Memory: a few MiB a thread.  Raises as ``read``.
    """
    cdef Run run = Run()
    cdef Tensor tensor
    run.verify = verify
    tensors = list(tensors)
    for tensor in tensors:
        if tensor.stored is not None and tensor.problem is None:
            # Only what the elements refer to tells whether they are right.
            tensor.decode(read([tensor.stored], threads=threads, verify=verify)[0], tensor)
        else:
            run.want(tensor, NULL, None, None)
    run.execute(regions_of(tensors, verify, members), threads)


def fragile(tensors, *, verify=None):
    """Whether reading tensors can fail for what is stored: a checksum or a codec is involved."""
    cdef Tensor tensor
    for tensor in tensors:
        if tensor.nelems and (not tensor.plain or (verify is not False and tensor.sums is not None)):
            return True
    return bool(regions_of(tensors, verify))


def read_box(tensor, start, box, *, into=None, threads=None, verify=None):
    """Read the box of ``box`` elements at element ``start`` of one tensor.

    Args:
        verify: True compares the checksums that the file has of the tensor, and reads whole
            blocks of 1 MiB for that, or the whole run where it has one checksum; None only those
            of chunks, which are read whole anyway, and of runs of which half is asked for.

    Reads: the runs, blocks or chunks that hold the box.  Returns an array of shape ``box``.
    """
    cdef Tensor t = tensor
    start, box = tuple(start), tuple(box)
    if len(start) != len(t.shape) or len(box) != len(t.shape):
        raise ValueError(f"box of {t.name}: expected rank {len(t.shape)}, found {start} + {box}")
    if into is not None and t.stored is None:
        dtype = t.dtype if t.dtype.isnative else t.dtype.newbyteorder("=")
        if into.dtype != dtype or into.shape != box:
            raise ValueError(f"destination of {t.name}: expected {dtype} {box}, found {into.dtype} {into.shape}")
    wanted = tuple([(s, s + b) for s, b in zip(start, box)])
    return read([t], into=None if into is None else [into], threads=threads, verify=verify, boxes=[wanted])[0]


def box_of_key(tensor, key):
    """The box that holds ``tensor[key]``, and the key of that in the box.

    Returns:
        ``(box, rest)``: ``read(boxes=[box])`` gives an array whose ``[rest]`` is wanted; None
        for a key that is not of integers, slices and one ellipsis.

    Raises:
        IndexError: for an integer out of bounds.
    """
    keys = key if isinstance(key, tuple) else (key,)
    shape = tensor.shape
    given = sum([k is not None and k is not Ellipsis for k in keys])
    plain = all([k is Ellipsis or isinstance(k, slice) or (isinstance(k, int) and not isinstance(k, bool))
                 or isinstance(k, np.integer) for k in keys])
    if not plain or given > len(shape) or sum([k is Ellipsis for k in keys]) > 1:
        return None
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys = keys[:at] + (slice(None),) * (len(shape) - given) + keys[at + 1:]
    keys += (slice(None),) * (len(shape) - len(keys))
    box, rest = [], []
    for k, n in zip(keys, shape):
        if not isinstance(k, slice):
            if not -n <= k < n:
                raise IndexError(f"index {k} is out of bounds for axis of {n} elements")
            box.append((int(k) % n, int(k) % n + 1))
            rest.append(0)
            continue
        taken = range(*k.indices(n))
        if not taken:
            box.append((0, 0))
            rest.append(slice(0, 0))
            continue
        first, last = taken[0], taken[len(taken) - 1]
        box.append((min(first, last), max(first, last) + 1))
        # A negative step begins at the last element of the box.
        rest.append(slice(None, None, taken.step))
    return tuple(box), tuple(rest)


def read_slice(tensor, key, *, verify=None):
    """``tensor[key]`` as NumPy would give it, reading only the box that holds it.

    Args:
        verify: As for ``read_box``.
    """
    found = box_of_key(tensor, key)
    if found is None:
        return read([tensor], verify=verify)[0][key]
    box, rest = found
    return read([tensor], verify=verify, boxes=[box])[0][rest]


def stream(tensors, *, budget=256 << 20, threads=None, verify=False):
    """Yield ``(tensor, array)`` in file order, holding at most ``budget`` bytes at a time.

    A tensor larger than the budget is still read whole, alone.  With ``verify`` True,
    checksums over members of which the tensors are a part are verified first, those of the
    tensors themselves as they are read.
    """
    def place(tensor):
        extents = tensor.extents
        return (tensor.source.name, extents[0].offset) if extents else ("", 0)

    tensors = list(tensors)
    if verify and regions_of(tensors, True):
        check(tensors, threads=threads)
        verify = False
    batch, held = [], 0
    for tensor in sorted(tensors, key=place):
        if batch and held + tensor.nbytes > budget:
            yield from zip(batch, read(batch, threads=threads, verify=bool(verify)))
            batch, held = [], 0
        batch.append(tensor)
        held += tensor.nbytes
    if batch:
        yield from zip(batch, read(batch, threads=threads, verify=bool(verify)))


read_by(sys.modules[__name__])
