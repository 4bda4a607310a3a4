# memory.pxd - pages for memory that was never touched

from libc.stddef cimport size_t

cdef enum:
    HUGE = 2 << 20                       # a huge page

# Ask for huge pages, if they are quickly had.
cdef void prepare(char *address, size_t nbytes) noexcept nogil
# Have the pages now, all at once.  True if they were huge ones that were long in coming:
# what else was prepared and is not populated yet is then better had in small ones.
cdef bint populate(void *address, size_t nbytes) noexcept nogil
