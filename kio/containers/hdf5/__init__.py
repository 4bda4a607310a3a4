"""HDF5, natively: structure only, bounds-checked, no library behind it.

``open`` parses the whole structure of a file at once.  A module for each kind of it:

    structure   bounds, work budget, checksums, byte ranges: what every parser is handed
    file        superblock, the walk over all objects, ``File``
    header      object headers as streams of messages
    group       links: symbol tables, link messages, dense links
    btree2      version 2 B-trees
    heap        fractal heaps, global heap
    types       datatypes and dataspaces
    layout      where raw data lies; filters, chunk, chunk_index: where it lies in chunks
    attribute   attributes as Python values

``write`` writes a file in one pass, from a ``Draft`` of its structure and the values:

    message     the messages of object headers, global heap
    chunking    how a compressed dataset is cut
    draft       groups, datasets, attributes; where everything goes; the structure's bytes
    sums        the table of checksums behind the file
    writer      structure, data, table into a sink
"""

from kio.containers.hdf5.attribute import Unreadable
from kio.containers.hdf5.draft import Draft
from kio.containers.hdf5.file import File, open
from kio.containers.hdf5.writer import nbytes_of, write

__all__ = ["Draft", "File", "Unreadable", "nbytes_of", "open", "write"]
