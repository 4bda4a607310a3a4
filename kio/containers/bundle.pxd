from kio.raw.cursor cimport Cursor


# (start, length) of each axis of a TensorSliceProto.
cdef tuple parse_slice(Cursor *c)
