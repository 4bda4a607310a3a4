# memory.pxd - pages for memory that was never touched, and arrays that grow

from libc.stddef cimport size_t
from libc.stdlib cimport realloc

cdef enum:
    HUGE = 2 << 20                       # a huge page

# Ask for huge pages, if they are quickly had.
cdef void prepare(char *address, size_t nbytes) noexcept nogil
# Have the pages now, all at once.  True if they were huge ones that were long in coming:
# what else was prepared and is not populated yet is then better had in small ones.
cdef bint populate(void *address, size_t nbytes) noexcept nogil


cdef inline int grow(void **items, size_t *cap, size_t wanted, size_t itemsize) except -1:
    """Room for ``wanted`` items, and for as many again as there were; what is new is not cleared."""
    cdef size_t n = cap[0]
    cdef void *q
    if wanted <= n:
        return 0
    n = max(n * 2, wanted, <size_t>64)
    q = realloc(items[0], n * itemsize)
    if q == NULL:
        raise MemoryError()
    items[0] = q
    cap[0] = n
    return 0
