# attribute.pxd - attributes as Python values

from libc.stdint cimport uint64_t

from kio.containers.hdf5.structure cimport Structure

# All attributes of the object with that header: name -> value.
cdef dict attributes_of(Structure s, uint64_t header)
# The value of one, or ``default``.
cdef object attribute_of(Structure s, uint64_t header, bytes name, object default)
