# file.pxd - an open file: superblock, walk, tensors, attributes

from cython cimport final
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kio.containers.hdf5.group cimport Link, Links
from kio.containers.hdf5.layout cimport Layout
from kio.containers.hdf5.structure cimport Structure
from kio.containers.hdf5.sums cimport Table
from kio.containers.hdf5.types cimport Space, Type
from kio.raw.cursor cimport Cursor
from kio.raw.source cimport Source
from kio.raw.tensor cimport Index, Row


cdef enum ObjectKind:
    GROUP = 0
    DATASET = 1
    NAMED_TYPE = 2


cdef struct Object:
    uint64_t header
    uint8_t kind
    uint8_t attributes       # has any


@final
cdef class Objects:
    """Groups and datasets in the order of the walk, found again by header address."""
    cdef Object *items
    cdef size_t count, room
    cdef uint32_t *table                 # open addressing: number + 1; 0 = empty
    cdef size_t slots
    cdef size_t enter(self, uint64_t header) except? 0xDEAD
    cdef int grow(self) except -1


# What the messages of one object header say, each where it is.
cdef struct Facts:
    uint64_t header
    uint64_t space, type, layout, filters    # offset of the message, 0 without one
    uint32_t space_nbytes, type_nbytes, layout_nbytes, filters_nbytes
    uint64_t btree, heap                     # symbol table, or dense links
    bint symbols, links, dense
    bint shared                              # one of the above is a reference
    bint external, attributes


@final
cdef class Expander:
    """Index.expand of a file; apart from File so that the two do not hold each other."""
    cdef Structure s
    cdef dict headers                        # path of a chunked dataset -> its object header
    cdef Table table                         # of checksums, or None


@final
cdef class Texts:
    """Makes text of the stored elements of a dataset; see Index.texts."""
    cdef Structure s
    cdef readonly unsigned itemsize      # of a stored element
    cdef readonly bint heap              # it refers to the global heap
    cdef unsigned padding
    cdef bytes of_heap(self, Cursor *c)


@final
cdef class File:
    cdef readonly Source source
    cdef readonly Index tensors
    cdef readonly dict aliases               # path -> first path of the same object
    cdef readonly dict refused               # path -> why it was not followed
    cdef readonly dict info
    cdef Structure s
    cdef Expander expander
    cdef Objects objects
    cdef list paths                          # of each object
    cdef dict headers                        # path -> object header; made on demand
    cdef dict decoded                        # header -> attributes
    cdef uint64_t attribute_work             # left of the budget of attributes()
    cdef uint64_t root
    cdef size_t ngroups
    cdef list by_address(self)
    cdef int superblock(self) except -1
    cdef int extension(self, uint64_t at) except -1
    cdef int walk(self) except -1
    cdef int visit(self, str path, uint64_t header, uint32_t prefix, Links todo) except -1
    cdef int dataset(self, str path, const Facts *facts) except -1
    cdef int chunked(self, str path, Row *row, const Facts *facts) except -1
    cdef int place(self, str path, Row *row, const Type *t, const Layout *layout,
                   uint64_t nbytes) except -1
    cdef int unreadable(self, str path, Row *row, str why) except -1
