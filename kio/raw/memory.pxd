cdef void prepare(char *address, size_t nbytes) noexcept
