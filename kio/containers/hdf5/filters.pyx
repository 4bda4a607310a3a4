"""Filter pipeline messages.

Spec: HDF5 File Format Specification 3.0, IV.A.2.l (filter pipeline).

  0  version 1 or 2
  1  number of filters
  2  [reserved, 6 bytes, version 1]
     filters: identification u16
              [name length u16; version 2: only from identification 256 on]
              flags u16, number of client values u16
              [name, padded to 8 in version 1]
              client values, u32 each [padded to an even number in version 1]

Only filters of ``kio.raw.codecs`` are ever undone: libhdf5's own plugins are not looked up.
"""

from kio.errors import LimitError, shown
from kio.raw.codecs import of_hdf5, parameter_of

from kio.raw.codecs cimport MAX_CODECS
from kio.raw.cursor cimport Cursor, skip, text, u8, u16, u32

# Registered filters that users meet and kio has no codec for; https://github.com/HDFGroup/hdf5_plugins
cdef dict KNOWN = {4: "szip", 5: "nbit", 6: "scaleoffset", 307: "bzip2", 32001: "blosc", 32004: "lz4",
                   32008: "bitshuffle", 32013: "zfp", 32026: "blosc2"}


cdef class Pipeline:
    def __cinit__(self):
        self.filters, self.undoing = [], {}

    cdef tuple codecs(self, unsigned mask):
        found = self.undoing.get(mask)
        if found is None:
            # Bit i of the mask set: filter i was skipped for this chunk.
            found = self.undoing[mask] = tuple([
                self.filters[i] for i in range(len(self.filters) - 1, -1, -1) if not mask >> i & 1])
        return found


cdef Pipeline parse_filters(Structure s, uint64_t offset, uint64_t nbytes, unsigned itemsize):
    cdef Cursor c
    cdef Pipeline pipeline = Pipeline()
    cdef unsigned version, nfilters, filter, name_nbytes, nvalues, first, compressors = 0
    cdef str name
    s.view(&c, offset, nbytes)
    version = u8(&c)
    nfilters = u8(&c)
    if version not in (1, 2):
        s.unsupported(f"filter pipeline version: expected 1 or 2, found {version}", offset, "version")
    if nfilters > 32:
        s.corrupt(f"filters: expected at most 32, found {nfilters}", offset + 1, "number of filters")
    if nfilters > <unsigned>s.limits.filters:
        raise LimitError(f"filters: expected at most limits.filters={s.limits.filters}, found {nfilters}",
                         source=s.name, offset=offset, field="filters")
    skip(&c, 6 if version == 1 else 0)
    for _ in range(nfilters):
        filter = u16(&c)
        name_nbytes = u16(&c) if version == 1 or filter >= 256 else 0
        skip(&c, 2)
        nvalues = u16(&c)
        name = text(&c, name_nbytes, b"backslashreplace").split("\0", 1)[0]
        skip(&c, -name_nbytes & 7 if version == 1 else 0)
        first = u32(&c) if nvalues else 0
        skip(&c, 4 * (nvalues - 1) if nvalues else 0)
        skip(&c, 4 if version == 1 and nvalues & 1 else 0)
        row = of_hdf5(filter)
        if row is not None:
            pipeline.filters.append((row.name, parameter_of(row, first, itemsize)))
            compressors += row.compressor
        elif pipeline.problem is None:
            pipeline.problem = f"filter {KNOWN.get(filter) or shown(name) or 'unknown'} ({filter})"
    if len(pipeline.filters) > MAX_CODECS:
        pipeline.problem = f"{nfilters} filters, of which kio undoes at most {MAX_CODECS}"
    if compressors > 1:
        pipeline.problem = "more than one compressor"
    return pipeline
