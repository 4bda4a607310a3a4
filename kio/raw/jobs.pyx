"""jobs: what is asked for of a transfer, cut into what threads can work off.

What is asked for becomes *items* (a run of stored bytes and where it goes), items sorted
by their place in the file become *jobs*:

    DIRECT   into the destination itself, in blocks
    WINDOW   one read for many small neighbours, then a copy to each destination
    CHUNK    read, check, undo codecs, place

Where a tensor has checksums of its own (CRC-32s of its blocks, or one of each chunk), each
job knows those of its bytes.  Of a part of a tensor whole blocks are read for that.

Where many bytes have one checksum over them all (a zip member's CRC-32, the CRC-32C of a long
run in a TensorFlow checkpoint) and it is to be verified, they are a *region*: jobs cover
every byte of it in order, gaps included.

A box of any shape (``Tensor.boxed``) is cut into chunks that a thread can hold.

Where a source is no local file, neighbouring jobs form *spans*: one request for the bytes of all.
"""

import itertools
import math
import threading

from kio.errors import UnsupportedError

from libc.stdlib cimport free, qsort
from libc.string cimport memcpy

from kio.raw cimport codecs
from kio.raw.memory cimport grow
from kio.raw.tensor cimport SUM_BLOCK

cdef enum:
    SMALL = 256 << 10      # runs up to this size may share a window
    RANK = 32


cdef int by_place(const void *a, const void *b) noexcept nogil:
    cdef const Item *x = <const Item *>a
    cdef const Item *y = <const Item *>b
    if x.origin != y.origin:
        return 1 if x.origin > y.origin else -1
    return (x.offset > y.offset) - (x.offset < y.offset)


cdef class Span:
    cdef int copy(self, uint8_t *dst, uint64_t offset, size_t nbytes) except -1:
        """Copy a part, which is read with the rest when its first job comes."""
        cdef unsigned char[::1] view
        with self.lock:
            if self.data is None:
                data = bytearray(self.nbytes)
                view = data
                self.source.fill(&view[0], self.offset - self.source.base, self.nbytes)
                self.data = data
            memcpy(dst, <uint8_t *><char *>self.data + (offset - self.offset), nbytes)
        return 0

    def __cinit__(self):
        self.lock = threading.Lock()


cdef class Region:
    """Bytes with one checksum over them all."""


cdef Region region_of(Source source):
    """All of a source that has a checksum."""
    cdef Region region = Region.__new__(Region)
    region.source, region.nbytes, region.expected = source, source.nbytes, source.crc32
    return region


cdef class Jobs(Origins):
    """The items and jobs of one call."""

    def __cinit__(self):
        self.tensors, self.spans, self.regions = [], [], {}

    def __dealloc__(self):
        free(self.items)
        free(self.pieces)
        free(self.chunks)
        free(self.jobs)
        free(self.dims)

    # ---- what is asked for -> items

    cdef Item *item(self, Source source, uint64_t offset, uint64_t nbytes, uint8_t *dst) except NULL:
        cdef Item *it
        grow(<void **>&self.items, &self.cap_items, self.nitems + 1, sizeof(Item))
        it = self.items + self.nitems
        it.offset, it.nbytes, it.dst = source.base + offset, nbytes, dst
        it.origin = self.origin(source)
        it.tensor, it.chunk, it.swap = <int32_t>len(self.tensors) - 1, -1, 0
        it.sums, it.whole, it.summed, it.block, it.block_nbytes = NULL, False, False, 0, 0
        self.nitems += 1
        return it

    cdef int want(self, Tensor tensor, uint8_t *dst, tuple start, tuple box) except -1:
        """Ask for a tensor, or for a box of it; dst NULL only checks what is stored."""
        cdef Item *it
        if tensor.problem is not None or tensor.stored is not None:
            # Valid, but of a kind that kio does not read: damage is found as the file is opened.
            raise UnsupportedError(f"tensor data: {tensor.problem or 'text'}, which kio does not read"
                                   + ("" if tensor.problem is not None else " as numbers"), tensor=tensor.name,
                                   source=None if tensor.source is None else tensor.source.name)
        self.tensors.append(tensor)
        if tensor.nelems == 0 or (box is not None and 0 in box):
            return 0
        if tensor.plain:
            if box is None:
                it = self.item(tensor.source, tensor.offset, tensor.nbytes, dst)
                it.swap = swap_of(tensor)
                if tensor.sums is not None and self.verify is not False:
                    if tensor.sums.whole and tensor.nbytes > SMALL:
                        self.want_region(tensor, tensor.source, tensor.offset, tensor.nbytes,
                                         tensor.sums.values[tensor.first_sum])
                    else:
                        it.sums, it.whole = tensor.sums.values + tensor.first_sum, tensor.sums.whole
            else:
                self.want_rows(tensor, dst, start, box)
            return 0
        for extent in tensor.extents:
            if tensor.boxed:
                self.want_box(tensor, extent, dst, start, box)
            else:
                self.want_chunk(tensor, extent, dst, start, box)
        return 0

    cdef int want_region(self, Tensor tensor, Source source, uint64_t offset, uint64_t nbytes,
                         uint32_t expected) except -1:
        """Have the CRC-32C of a run compared, whatever of it is asked for."""
        cdef Region region = Region.__new__(Region)
        region.source, region.offset, region.nbytes = source, offset, nbytes
        region.expected, region.castagnoli, region.tensor = expected, True, tensor
        self.regions[self.origin(source), source.base + offset] = region
        return 0

    cdef bint worth_sum(self, uint64_t asked, uint64_t nbytes) except -1:
        """Whether the checksum of a run is compared of which that much is asked for."""
        return self.verify is not False and (self.verify is not None or 2 * asked >= nbytes)

    cdef int want_box(self, Tensor tensor, Extent extent, uint8_t *dst, tuple start, tuple box) except -1:
        """One of the boxes of a tensor, as chunks of consecutive bytes."""
        cdef tuple at = extent.start, shape = extent.chunk
        cdef uint64_t offset = extent.offset, nbytes, inner
        cdef unsigned axis = 0, rank = len(shape)
        cdef object asked = extent.nbytes
        if extent.nbytes == 0:
            return 0
        if box is not None:
            asked = tensor.itemsize
            for a, n, low, m in zip(at, shape, start, box):
                asked *= max(0, min(a + n, low + m) - max(a, low))
            if asked == 0:
                return 0
        if extent.checksum is not None and self.worth_sum(asked, extent.nbytes):
            if extent.checksum[0] != "crc32c":
                raise UnsupportedError(f"checksum of a box: expected crc32c, found {extent.checksum[0]}",
                                       tensor=tensor.name, source=extent.source.name)
            self.want_region(tensor, extent.source, extent.offset, extent.nbytes, extent.checksum[1])
        # The first axis of which one index is not too much for a window; those before are cut to single indices.
        while axis + 1 < rank and math.prod(shape[axis + 1:]) * tensor.itemsize > WIN:
            axis += 1
        inner = math.prod(shape[axis + 1:]) * tensor.itemsize
        step = max(1, WIN // inner)
        for index in itertools.product(*[range(n) for n in shape[:axis]]):
            for first in range(0, shape[axis], step):
                n = min(step, shape[axis] - first)
                nbytes = n * inner
                place = tuple([a + i for a, i in zip(at, index)]) + (at[axis] + first,) + at[axis + 1:]
                part = Extent(extent.source, offset, nbytes, (), place, (1,) * axis + (n,) + shape[axis + 1:])
                self.want_chunk(tensor, part, dst, start, box)
                offset += nbytes
        return 0

    cdef int want_rows(self, Tensor tensor, uint8_t *dst, tuple start, tuple box) except -1:
        """A box of a plain tensor: one item a contiguous run."""
        cdef uint64_t index[RANK]
        cdef uint64_t run, at, done = 0
        cdef int d, inner = len(box)
        cdef bint whole = tensor.sums is not None and tensor.sums.whole
        cdef Item *it
        if whole and self.worth_sum(math.prod(box) * tensor.itemsize, tensor.nbytes):
            self.want_region(tensor, tensor.source, tensor.offset, tensor.nbytes, tensor.sums.values[tensor.first_sum])
        # Dimensions from the last that are taken whole join the run.
        while inner and start[inner - 1] == 0 and box[inner - 1] == tensor.shape[inner - 1]:
            inner -= 1
        run = tensor.itemsize
        for d in range(max(inner - 1, 0), len(box)):
            run *= box[d]
        for d in range(RANK):
            index[d] = 0
        while True:
            at = 0
            for d in range(len(box)):
                at = at * <uint64_t>tensor.shape[d] + <uint64_t>start[d] + (index[d] if d < inner - 1 else 0)
            if tensor.sums is not None and self.verify and not whole:
                self.want_blocks(tensor, at * tensor.itemsize, run, dst + done)
            else:
                it = self.item(tensor.source, tensor.offset + at * tensor.itemsize, run, dst + done)
                it.swap = swap_of(tensor)
            done += run
            d = inner - 2
            while d >= 0:
                index[d] += 1
                if index[d] < <uint64_t>box[d]:
                    break
                index[d] = 0
                d -= 1
            if d < 0:
                return 0

    cdef int want_blocks(self, Tensor tensor, uint64_t at, uint64_t nbytes, uint8_t *dst) except -1:
        """A run of a plain tensor: one item for each block that it has a part in."""
        cdef uint64_t number, n, end = at + nbytes
        cdef Item *it
        while at < end:
            number = at // SUM_BLOCK
            n = min(end, (number + 1) * SUM_BLOCK) - at
            it = self.item(tensor.source, tensor.offset + at, n, dst)
            it.swap = swap_of(tensor)
            it.sums = tensor.sums.values + tensor.first_sum + number
            it.block = tensor.source.base + tensor.offset + number * SUM_BLOCK
            it.block_nbytes = min(<uint64_t>SUM_BLOCK, tensor.nbytes - number * SUM_BLOCK)
            at, dst = at + n, dst + n
        return 0

    cdef int want_chunk(self, Tensor tensor, Extent extent, uint8_t *dst, tuple start, tuple box) except -1:
        cdef Chunk *chunk
        cdef Item *it
        cdef uint64_t *dims
        cdef uint64_t first, last, lo, n
        cdef unsigned d, rank = len(tensor.shape)
        cdef bint whole = True
        grow(<void **>&self.chunks, &self.cap_chunks, self.nchunks + 1, sizeof(Chunk))
        grow(<void **>&self.dims, &self.cap_dims, self.ndims + 5 * rank, sizeof(uint64_t))
        chunk = self.chunks + self.nchunks
        dims = self.dims + self.ndims
        chunk.nsteps = codecs.steps_of(extent.codecs, chunk.steps, tensor.name)
        chunk.itemsize, chunk.rank, chunk.dst, chunk.dims = tensor.itemsize, rank, dst, self.ndims
        chunk.nbytes = tensor.itemsize
        chunk.run_at = chunk.run_nbytes = 0
        n = tensor.itemsize
        for d in range(rank):
            first = 0 if extent.start is None else extent.start[d]
            last = min(first + <uint64_t>(extent.chunk or tensor.shape)[d], <uint64_t>tensor.shape[d])
            dims[2 * rank + d] = (extent.chunk or tensor.shape)[d]
            chunk.nbytes *= dims[2 * rank + d]
            dims[d] = tensor.shape[d] if box is None else box[d]
            lo = 0 if box is None else start[d]
            if box is not None:
                last = min(last, lo + <uint64_t>box[d])
            if last <= max(first, lo):
                return 0             # outside the box
            dims[rank + d] = max(first, lo) - lo
            dims[3 * rank + d] = max(first, lo) - first
            dims[4 * rank + d] = last - max(first, lo)
            n *= dims[4 * rank + d]
            if dims[3 * rank + d] or (d and (dims[4 * rank + d] != dims[2 * rank + d]
                                             or dims[2 * rank + d] != dims[d])):
                whole = False
            chunk.run_at = chunk.run_at * dims[d] + dims[rank + d]
        chunk.run_at *= tensor.itemsize
        if whole:
            chunk.run_nbytes = n
        it = self.item(extent.source, extent.offset, extent.nbytes, dst)
        it.chunk, it.swap = <int32_t>self.nchunks, swap_of(tensor)
        if extent.checksum is not None and self.verify is not False:
            if extent.checksum[0] != "crc32":
                raise UnsupportedError(f"checksum of a chunk: expected crc32, found {extent.checksum[0]}",
                                       tensor=tensor.name, source=extent.source.name)
            chunk.sum = extent.checksum[1]
            it.summed = True
        elif box is not None and not chunk.nsteps:
            self.clip(it, chunk)
        self.scratch = max(self.scratch, chunk.nbytes + codecs.slack(chunk.steps, chunk.nsteps), it.nbytes)
        self.nchunks += 1
        self.ndims += 5 * rank
        return 0

    cdef void clip(self, Item *it, Chunk *chunk) noexcept:
        """Of a chunk that is stored as it is, read only from the first element wanted to the last.

        The first dimension of which more than one is wanted is cut; those before it are cut to one.
        """
        cdef uint64_t *dims = self.dims + chunk.dims + 2 * chunk.rank      # chunk shape, src start, box
        cdef uint64_t inner = chunk.nbytes
        cdef unsigned d, rank = chunk.rank
        for d in range(rank):
            inner //= dims[d]
            it.offset += dims[rank + d] * inner
            it.nbytes = dims[2 * rank + d] * inner
            dims[d], dims[rank + d] = dims[2 * rank + d], 0
            if dims[d] > 1:
                break
        chunk.nbytes = it.nbytes

    # ---- items -> jobs

    cdef Job *job(self, Kind kind, int32_t origin, uint64_t offset, uint64_t nbytes) except NULL:
        cdef Job *job
        grow(<void **>&self.jobs, &self.cap_jobs, self.njobs + 1, sizeof(Job))
        job = self.jobs + self.njobs
        job.kind, job.origin, job.offset, job.nbytes = kind, origin, offset, nbytes
        job.dst, job.first, job.npieces, job.tensor, job.chunk, job.span = NULL, 0, 0, -1, -1, -1
        job.swap, job.crc, job.summed, job.outcome, job.number = 0, 0, False, 0, 0
        job.sums, job.compared, job.expected, job.found, job.castagnoli = NULL, False, 0, 0, False
        self.njobs += 1
        self.total += nbytes
        return job

    cdef int flush(self) except -1:
        """End the window being built."""
        cdef Job *job
        cdef Piece *piece
        if not self.open:
            return 0
        self.open = False
        job = self.job(WINDOW, self.window.origin, self.window.offset, self.window.nbytes)
        job.first, job.npieces = self.window.first, self.window.npieces
        job.tensor, job.summed, job.sums = self.window.tensor, self.window.summed, self.window.sums
        if job.npieces == 1 and job.sums == NULL:
            piece = self.pieces + job.first
            if piece.nbytes == job.nbytes and piece.dst != NULL:
                job.kind, job.dst, job.swap, job.sums = DIRECT, piece.dst, piece.swap, piece.sums
                job.castagnoli = piece.whole
        return 0

    cdef int extend(self, int32_t origin, uint64_t offset, uint64_t nbytes, bint summed, uint64_t near) except -1:
        """Make the open window end at offset + nbytes (at most WIN long), or open another."""
        cdef uint64_t end
        if self.open:
            end = self.window.offset + self.window.nbytes
            if (self.window.origin == origin and self.window.summed == summed
                    and self.window.sums == NULL and end <= offset
                    and offset - end <= near and offset + nbytes - self.window.offset <= WIN):
                self.window.nbytes = offset + nbytes - self.window.offset
                return 0
            self.flush()
        self.open = True
        self.window.origin, self.window.offset, self.window.nbytes = origin, offset, nbytes
        self.window.first, self.window.npieces = self.npieces, 0
        self.window.summed, self.window.tensor, self.window.sums = summed, -1, NULL
        return 0

    cdef int cover(self, int32_t origin, uint64_t offset, uint64_t end) except -1:
        """Jobs that only sum the bytes [offset, end)."""
        cdef uint64_t n
        while offset < end:
            n = min(end - offset, <uint64_t>WIN)
            if self.open and self.window.offset + WIN > offset:
                n = min(n, self.window.offset + WIN - offset)
            self.extend(origin, offset, n, True, 0)
            offset += n
        return 0

    cdef int emit(self, const Item *it, bint summed) except -1:
        """Jobs for one item."""
        cdef Piece *piece
        if it.chunk < 0 and (it.nbytes <= SMALL or it.block_nbytes):
            if not it.block_nbytes:
                self.extend(it.origin, it.offset, it.nbytes, summed, 0 if summed else NEAR)
            elif not (self.open and self.window.sums == it.sums):
                self.flush()
                self.extend(it.origin, it.block, it.block_nbytes, summed, 0)
                self.window.sums = it.sums
            grow(<void **>&self.pieces, &self.cap_pieces, self.npieces + 1, sizeof(Piece))
            piece = self.pieces + self.npieces
            piece.at, piece.nbytes = it.offset - self.window.offset, it.nbytes
            piece.dst, piece.swap, piece.tensor = it.dst, it.swap, it.tensor
            # Of a part of a block the window's own sum is compared.
            piece.sums, piece.whole = NULL if it.block_nbytes else it.sums, it.whole
            self.npieces += 1
            self.window.npieces += 1
            self.window.tensor = it.tensor
            return 0
        return self.emit_long(it, summed)

    cdef int emit_long(self, const Item *it, bint summed) except -1:
        """Jobs for a chunk, or for a run that shares no window."""
        cdef Job *job
        cdef uint64_t at = 0, n
        self.flush()
        if it.chunk >= 0:
            job = self.job(CHUNK, it.origin, it.offset, it.nbytes)
            job.chunk, job.tensor, job.swap, job.summed = it.chunk, it.tensor, it.swap, summed
            job.compared = it.summed
            return 0
        while at < it.nbytes:
            n = min(it.nbytes - at, <uint64_t>(WIN if it.dst == NULL else BLOCK))
            job = self.job(WINDOW if it.dst == NULL else DIRECT, it.origin, it.offset + at, n)
            job.dst = NULL if it.dst == NULL else it.dst + at
            job.tensor, job.swap, job.summed = it.tensor, it.swap, summed
            # A job begins at a multiple of a block's size, as WIN and BLOCK are.
            job.sums = NULL if it.sums == NULL else it.sums + at // SUM_BLOCK
            at += n
        return 0

    cdef list plan(self, regions):
        """Jobs for all items; regions are what to cover whole.

        Returns [(region, first job, last job + 1)] for the regions that could be covered on
        the way; the others (an item asked for twice, say) come as (region, None, None).
        """
        cdef size_t i = 0, r = 0, first, j
        cdef uint64_t at, end
        cdef int32_t origin
        cdef bint tangled
        cdef Region region
        places = []
        for region in regions:
            places.append((self.origin(region.source), region.source.base + region.offset, len(places), region))
        places.sort()
        out = []
        if self.nitems:       # qsort may not be given NULL, not even for nothing
            qsort(self.items, self.nitems, sizeof(Item), &by_place)
        for origin, at, _, region in places:
            end = at + region.nbytes
            while i < self.nitems and (self.items[i].origin < origin or
                                       (self.items[i].origin == origin and self.items[i].offset < at)):
                self.emit(self.items + i, False)
                i += 1
            self.flush()
            first, r, tangled = self.njobs, i, False
            begin = at
            while r < self.nitems and self.items[r].origin == origin and self.items[r].offset < end:
                # Of a part of a block more is read than the item.
                tangled = tangled or self.items[r].offset < at or self.items[r].block_nbytes or \
                    self.items[r].offset + self.items[r].nbytes > end
                at = self.items[r].offset + self.items[r].nbytes
                r += 1
            if tangled:
                out.append((region, None, None))
                continue
            at = begin
            while i < r:
                self.cover(origin, at, self.items[i].offset)
                self.emit(self.items + i, True)
                at = self.items[i].offset + self.items[i].nbytes
                i += 1
            self.cover(origin, at, end)
            self.flush()
            for j in range(first, self.njobs):
                self.jobs[j].castagnoli = region.castagnoli
            out.append((region, first, self.njobs))
        while i < self.nitems:
            self.emit(self.items + i, False)
            i += 1
        self.flush()
        self.gather()
        return out

    cdef int gather(self) except -1:
        cdef Span span = None
        cdef Job *job = NULL
        cdef Job *last = NULL
        cdef uint64_t end = 0
        cdef size_t i
        if not any([not (<Source>source).near() for source in self.sources]):
            return 0
        for i in range(self.njobs):
            job = self.jobs + i
            if (<Source>self.sources[job.origin]).near():
                continue
            end = job.offset + job.nbytes
            if (last != NULL and last.origin == job.origin and job.offset >= span.offset
                    and job.offset <= span.offset + span.nbytes + FAR_GAP
                    and max(span.offset + span.nbytes, end) - span.offset <= FAR_SPAN):
                span.nbytes = max(span.offset + span.nbytes, end) - span.offset
            else:
                span = Span()
                span.source, span.offset, span.nbytes = self.sources[job.origin], job.offset, job.nbytes
                self.spans.append(span)
            span.left += 1
            job.span = <int32_t>len(self.spans) - 1
            last = job
        for i in range(self.njobs):
            job = self.jobs + i
            # What is read by itself and in one piece goes where it belongs.
            if job.span >= 0 and (<Span>self.spans[job.span]).left == 1 and not (
                    job.kind == DIRECT and (job.summed or job.sums != NULL or job.swap)):
                job.span = -1
        return 0


cdef uint32_t swap_of(Tensor tensor) noexcept:
    """Element size to reverse after reading; a complex number is two elements."""
    if not tensor.swapped:
        return 0
    return tensor.itemsize // 2 if tensor.dtype_name.startswith("complex") else tensor.itemsize
