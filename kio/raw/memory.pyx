"""Where decoded tensors live: aligned, a few allocations for many, huge pages where they pay.

Fresh memory is paid for page by page as it is first touched, and that, not the copy,
is what a load costs (benchmarks/roofline.py).  Huge pages make it cheap, except where free
memory was handed back to the host of a virtual machine: there each huge page waits for
the host (0.5 to 1 ms instead of 0.1), while small ones are mostly at hand.  So huge pages
are timed: the first one of each allocation, and those that are filled later.  Where one is
slow, the process does without for a while.  Small pages are had in bulk, just before they
are filled.  Slabs are kept small enough that one surviving array pins little.
"""

import numpy as np

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uintptr_t

from kio.raw.platform cimport (
    kio_advise_huge,
    kio_advise_small,
    kio_now_ns,
    kio_populate,
    kio_release,
    kio_reserve,
    kio_trim,
)

cdef enum:
    ALIGN = 64                  # a cache line, and what jax needs to use a buffer as it is
    SLAB = 32 << 20             # tensors share slabs of this size; larger ones get their own
    SLOW_NS = 450_000           # small pages for 2 MiB take 200,000 to 250,000
    PAUSE = 32 << 20
    PAUSE_MAX = 1 << 30

# After a slow huge page so many bytes are allocated without, twice as many each time.
# Threads may both count; an allocation more or less does not matter.
cdef int64_t pause = 0
cdef int64_t waiting = 0


cdef void give_up() noexcept nogil:
    global pause, waiting
    waiting = pause = min(2 * pause + PAUSE, <int64_t>PAUSE_MAX)


cdef void prepare(char *address, size_t nbytes) noexcept nogil:
    global pause, waiting
    cdef size_t skipped = -<uintptr_t>address & (HUGE - 1)
    cdef int64_t began
    if nbytes < skipped + HUGE:
        return
    if waiting > 0:
        waiting -= nbytes
        kio_advise_small(address, nbytes)
        return
    address += skipped
    nbytes -= skipped
    kio_advise_huge(address, HUGE)
    began = kio_now_ns()
    address[0] = 0
    if kio_now_ns() - began < SLOW_NS:
        pause = 0
        kio_advise_huge(address, nbytes)
    else:
        give_up()
        kio_advise_small(address, nbytes)


cdef bint populate(void *address, size_t nbytes) noexcept nogil:
    cdef int64_t began
    if waiting > 0 or nbytes < HUGE:
        kio_populate(address, nbytes)
        return False
    began = kio_now_ns()
    kio_populate(address, nbytes)
    # What counts is the time of one page; a whole chunk may be several.
    if kio_now_ns() - began < SLOW_NS * <int64_t>(nbytes // HUGE):
        return False
    give_up()
    return True


cdef class Slab:
    """Zeroed memory that takes no room until it is touched; supports the buffer protocol."""
    cdef char *address
    cdef void *mapped
    cdef size_t nmapped
    cdef Py_ssize_t nbytes[1]
    cdef Py_ssize_t stride[1]

    def __cinit__(self, size_t nbytes):
        cdef size_t spare = HUGE if nbytes >= HUGE else 0
        self.nbytes[0] = nbytes
        self.stride[0] = 1
        self.nmapped = nbytes + spare
        self.mapped = kio_reserve(self.nmapped or 1)
        if self.mapped == NULL:
            raise MemoryError(f"{nbytes} bytes for tensors")
        self.address = <char *>self.mapped
        if spare:
            # Only whole, aligned 2 MiB pieces can become huge pages.
            self.address += (HUGE - (<uintptr_t>self.mapped & (HUGE - 1))) & (HUGE - 1)
            prepare(self.address, nbytes)

    def __dealloc__(self):
        if self.mapped != NULL:
            kio_release(self.mapped, self.nmapped or 1)

    def __getbuffer__(self, Py_buffer *view, int flags):
        view.buf = self.address
        view.obj = self
        view.len = self.nbytes[0]
        view.readonly = 0
        view.itemsize = 1
        view.format = "B"
        view.ndim = 1
        view.shape = self.nbytes
        view.strides = self.stride
        view.suboffsets = NULL
        view.internal = NULL


def allocate(tensors):
    """Uninitialised arrays for tensors, in their dtype (native byte order) and shape.

    Args:
        tensors: Sequence of ``Tensor``.
    Returns:
        A list of C-contiguous arrays, each 64-byte aligned.  Memory is taken only as it
        is filled; each slab lives as long as the last array in it.
    """
    cdef size_t total = 0, at = 0, n
    cdef list out = []
    cdef Slab slab
    sizes = [tensor.nbytes for tensor in tensors]
    remaining = sum([(n + ALIGN - 1) // ALIGN * ALIGN for n in sizes if n < SLAB])
    slab = None
    at = total = 0
    for tensor, nbytes in zip(tensors, sizes):
        n = (nbytes + ALIGN - 1) // ALIGN * ALIGN
        dtype = tensor.dtype if tensor.dtype.isnative else tensor.dtype.newbyteorder("=")
        if n == 0:
            out.append(np.empty(tensor.shape, dtype))
            continue
        if n >= SLAB:
            out.append(np.ndarray(tensor.shape, dtype, Slab(n)))
            continue
        if slab is None or n > total - at:
            total = max(min(<size_t>SLAB, <size_t>remaining), n)
            slab, at = Slab(total), 0
        out.append(np.ndarray(tensor.shape, dtype, slab, at))
        at += n
        remaining -= n
    return out


def trim():
    """Let the allocator give freed memory back to the system.

    Values that are replaced go back to the heap of the thread that made them, where
    nothing reuses them: without this a process that replaces all its variables one by one
    grows by as much as all of them.  Cost: the time to unmap what is free.
    """
    with nogil:
        kio_trim()
