# chunk_index.pxd - the indexes that say where chunks lie

from kio.containers.hdf5.chunk cimport Chunks

# Add every stored chunk of a dataset to its grid.
cdef int find_chunks(Chunks out) except -1
