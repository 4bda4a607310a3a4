# memory.pxd - pages for memory that was never touched

from libc.stddef cimport size_t

cdef enum:
    HUGE = 2 << 20                       # a huge page

# Ask for huge pages, if they are quickly had.
cdef void prepare(char *address, size_t nbytes) noexcept nogil
# Have the pages now, all at once: huge ones where they were asked for and are quickly had.
cdef void populate(void *address, size_t nbytes) noexcept nogil
