"""The grid of chunks of one dataset, filled by ``chunk_index``."""

from kio.errors import LimitError

from libc.stdint cimport UINT64_MAX

from kio.containers.hdf5.structure cimport address, times
from kio.raw.cursor cimport Cursor, u32, uint
from kio.raw.tensor cimport Extent


cdef Chunks chunks_of(Structure s, const Layout *layout, const Space *space, Pipeline pipeline,
                      uint32_t itemsize, bint keep):
    """The grid of a dataset; with ``keep``, an Extent is made for every chunk added."""
    cdef Chunks self = Chunks()
    cdef unsigned d
    cdef uint64_t extent
    self.s, self.pipeline, self.layout = s, pipeline, layout[0]
    self.rank = space.rank
    if layout.ndims != space.rank + 1 or layout.chunk[space.rank] != itemsize:
        s.corrupt(f"chunk shape: expected {space.rank} dimensions of elements of {itemsize} bytes, found "
                  f"{layout.ndims - 1} of {layout.chunk[layout.ndims - 1]}", layout.message, "dimensionality")
    self.chunk_nbytes = itemsize
    for d in range(self.rank):
        extent = space.dims_max[d]
        self.order[d] = d
        self.dims[d] = space.dims[d]
        self.chunk_nbytes = times(self.chunk_nbytes, layout.chunk[d])
        self.across[d] = 0
        if extent != UINT64_MAX:
            self.across[d] = extent // layout.chunk[d] + (extent % layout.chunk[d] != 0)
    if self.chunk_nbytes > <uint64_t>s.limits.tensor_bytes:
        raise LimitError(f"chunk size: expected at most limits.tensor_bytes={s.limits.tensor_bytes}, "
                         f"found {self.chunk_nbytes}", source=s.name, offset=layout.message,
                         field="tensor_bytes")
    if keep:
        self.extents = []
        self.chunk = tuple([layout.chunk[d] for d in range(self.rank)])
    return self


cdef class Chunks:
    cdef int add(self, uint64_t offset, uint64_t nbytes, uint32_t mask, const uint64_t *start) except -1:
        cdef unsigned d
        cdef bint partial = False
        cdef tuple codecs
        for d in range(self.rank):
            if start[d] >= self.dims[d] or start[d] % self.layout.chunk[d]:
                self.s.corrupt(f"chunk position in dimension {d}: expected a multiple of "
                               f"{self.layout.chunk[d]} below {self.dims[d]}, found {start[d]}", offset)
            partial = partial or self.layout.chunk[d] > self.dims[d] - start[d]
        if self.count >= <uint64_t>self.s.limits.chunks:
            raise LimitError(f"chunks: expected at most limits.chunks={self.s.limits.chunks}, found more",
                             source=self.s.name, offset=offset, field="chunks")
        self.count += 1
        if nbytes == 0:
            self.s.corrupt("chunk size: expected at least 1, found 0", offset, "chunk size")
        self.s.inside(offset, nbytes, "chunk")
        codecs = () if partial and self.layout.flags & 1 else self.pipeline.codecs(mask)
        if not codecs and nbytes != self.chunk_nbytes:
            self.s.corrupt(f"chunk size: expected {self.chunk_nbytes}, found {nbytes}", offset, "chunk size")
        if self.extents is None:
            return self.s.ranges.add_raw(offset, nbytes)
        self.extents.append(Extent(self.s.image.source, offset, nbytes, codecs,
                                   tuple([start[d] for d in range(self.rank)]), self.chunk))
        return 0

    cdef int add_element(self, uint64_t number, uint64_t at, unsigned nbytes) except -1:
        cdef Cursor c
        cdef uint64_t[RANK_MAX] start
        cdef uint64_t offset, stored = self.chunk_nbytes
        cdef uint32_t mask = ALL_SKIPPED
        cdef unsigned d
        cdef int i
        self.s.view(&c, at, nbytes)
        offset = address(self.s, &c)
        if offset == UINT64_MAX:
            return 0
        if nbytes > self.s.address_nbytes:
            stored = uint(&c, nbytes - self.s.address_nbytes - 4)
            mask = u32(&c)
        for i in range(<int>self.rank - 1, -1, -1):
            d = self.order[i]
            if self.across[d] == 0:
                # Unlimited, and hence the slowest.
                start[d] = times(number, self.layout.chunk[d])
                number = 0
            else:
                start[d] = number % self.across[d] * self.layout.chunk[d]
                number //= self.across[d]
            # Inside the maximum shape, beyond the present one: not part of the dataset now.
            if start[d] >= self.dims[d]:
                return 0
        if number:
            self.s.corrupt("chunk array: expected no chunk beyond the maximum shape, found one", at)
        return self.add(offset, stored, mask, start)
