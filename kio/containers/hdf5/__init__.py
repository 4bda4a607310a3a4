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
"""

from kio.containers.hdf5.attribute import Unreadable
from kio.containers.hdf5.file import File, open

__all__ = ["File", "Unreadable", "open"]
