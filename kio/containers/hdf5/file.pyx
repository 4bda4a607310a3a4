"""An HDF5 file: superblock, walk over all objects, tensors, attributes.

Spec: HDF5 File Format Specification 3.0, II.A (superblock), II.C (superblock extension).

Superblock at byte 0, 512, 1024, 2048, …
Version 0, 1                                 Version 2, 3
  0  "\\x89HDF\\r\\n\\x1a\\n"                        same
  8  version                                   8  version
  9  free space, root group versions, 0        9  size of offsets O
 12  shared header version, size of offsets O  10  size of lengths L
     (13), size of lengths L (14), 0           11  file consistency flags
 16  group leaf K, internal K, u16 each        12  base address, O
 20  file consistency flags, u32                   superblock extension address, O
     [version 1: chunk K u16, reserved u16]        end of file address, O
 24  base address, O                               root group object header address, O
     free space info, O                            checksum u32
     end of file address, O
     driver information block, O
     root group symbol table entry: name offset O, object header address O, …

Addresses count from the superblock.  The base address field says where that was when
the file was written; where a user block was put in front or taken away it is wrong,
and libhdf5 then trusts the place where it found the superblock.  So does kio.
"""

import numpy as np

from kio.errors import CorruptError, LimitError, TruncatedError, UnsupportedError, shown
from kio.limits import DEFAULT

from libc.stdint cimport UINT64_MAX
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memset

from kio.containers.hdf5.attribute cimport attribute_of, attributes_of
from kio.containers.hdf5.chunk cimport Chunks, chunks_of
from kio.containers.hdf5.chunk_index cimport find_chunks
from kio.containers.hdf5.filters cimport Pipeline, parse_filters
from kio.containers.hdf5.group cimport (
    EXTERNAL,
    HARD,
    SOFT,
    dense_links,
    link_message,
    symbol_table,
)
from kio.containers.hdf5.header cimport (
    ATTRIBUTE,
    ATTRIBUTE_INFO,
    CACHE_IMAGE,
    DATASPACE,
    DATATYPE,
    DRIVER_INFO,
    EXTERNAL_FILES,
    FILTERS,
    LAYOUT,
    LINK,
    LINK_INFO,
    SHARED,
    SYMBOL_TABLE,
    Header,
    Message,
    next_message,
    open_header,
)
from kio.containers.hdf5.heap cimport heap_text
from kio.containers.hdf5.layout cimport CHUNKED, CONTIGUOUS, VIRTUAL, parse_layout
from kio.containers.hdf5.structure cimport address, times
from kio.containers.hdf5.sums cimport read_table, sum_chunks, sum_rows
from kio.containers.hdf5.types cimport HEAP_TEXT, NUL_PADDED, SPACE_PADDED, parse_space, parse_type
from kio.raw.cursor cimport Cursor, copy, left, seek, skip, span, starts, take, text, u8, uint
from kio.raw.source cimport Image, Source
from kio.raw.tensor cimport EXPAND, PLAIN, TEXT, UNREADABLE, Row


cdef enum:
    KEPT = 64               # objects whose decoded attributes are kept


cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char *text, Py_ssize_t nbytes, const char *errors)


def open(Source source, limits=DEFAULT):
    """Parse the structure of an HDF5 file.

    Args:
        source: The file, or a window of one.
        limits: Caps on what it may cost.

    Returns:
        A ``File``, whose tensors are sealed.

    Raises:
        TruncatedError: if the file ends before what it announces.
        ChecksumError: if a structure, or kio's table of checksums, and its checksum differ.
        CorruptError: if it contradicts the specification.
        UnsupportedError: for a feature of the whole file that kio does not read.
        LimitError: if a field of ``limits`` would be exceeded.

    Reads: structure only, 1.4 KB a variable in a file of h5py's.
    Memory: O(structure), about 250 bytes an object.
    Spec: HDF5 File Format Specification 3.0.
    """
    cdef File file = File.__new__(File)
    file.source = source
    file.s = Structure(source, limits)
    file.tensors = Index(source, limits)
    file.objects = Objects()
    file.aliases, file.refused, file.decoded = {}, {}, {}
    file.paths = []
    file.expander = Expander()
    file.expander.s, file.expander.headers = file.s, {}
    file.tensors.expand = file.expander
    file.info = dict.fromkeys((
        "superblock", "user_block", "end_of_file", "groups", "datasets", "chunked", "linked_groups"), 0)
    file.s.image.hold()
    file.superblock()
    table = file.expander.table = read_table(file.s)
    file.walk()
    file.tensors.seal()
    if table is not None:
        sum_rows(table, file.tensors)
    file.s.ranges.settle(file.s.end, file.s.name)
    file.s.refill()
    file.attribute_work = file.s.work
    file.s.image.spare()
    return file


cdef class Objects:
    def __cinit__(self):
        self.grow()

    def __dealloc__(self):
        free(self.items)
        free(self.table)

    cdef int grow(self) except -1:
        """Double the table and put every object in again."""
        cdef size_t i, slot, slots = self.slots * 2 or 1024
        cdef uint32_t *table = <uint32_t *>calloc(slots, sizeof(uint32_t))
        cdef void *items = realloc(self.items, slots // 2 * sizeof(Object))
        if items != NULL:
            self.items = <Object *>items
        if table == NULL or items == NULL or slots > <size_t>1 << 32:
            free(table)
            raise MemoryError()
        for i in range(self.count):
            slot = _slot(self.items[i].header, slots)
            while table[slot]:
                slot = (slot + 1) & (slots - 1)
            table[slot] = <uint32_t>(i + 1)
        free(self.table)
        self.table, self.slots, self.room = table, slots, slots // 2
        return 0

    cdef size_t enter(self, uint64_t header) except? 0xDEAD:
        """The number of the object with that header; a new one is the last."""
        cdef size_t slot
        if self.count == self.room:
            self.grow()
        slot = _slot(header, self.slots)
        while self.table[slot]:
            if self.items[self.table[slot] - 1].header == header:
                return self.table[slot] - 1
            slot = (slot + 1) & (self.slots - 1)
        self.table[slot] = <uint32_t>(self.count + 1)
        memset(self.items + self.count, 0, sizeof(Object))
        self.items[self.count].header = header
        self.count += 1
        return self.count - 1


cdef size_t _slot(uint64_t header, size_t slots) noexcept:
    # Multiplication by 2^64 over the golden ratio spreads addresses over the high bits.
    return <size_t>((header * <uint64_t>0x9E3779B97F4A7C15) >> 32) & (slots - 1)


cdef class File:
    """The index of an HDF5 file.

    Attributes:
        source: The file.
        tensors: Every dataset by path without a leading slash, as a sealed ``Index``.
        aliases: Path of each further hard link to an object -> its first path.
        refused: Path of each link that was not followed (soft, external, user-defined)
            and of each named datatype -> why.
        info: Counts and sizes: ``superblock`` (version), ``user_block`` and ``end_of_file`` (bytes),
            ``groups`` (without the root), ``datasets``, ``chunked`` of these, ``linked_groups``:
            groups that keep links in messages or heaps, as files of a higher libver do.
    """

    def __init__(self, *args, **kwargs):
        raise TypeError("use kio.containers.hdf5.open")

    def __reduce_ex__(self, protocol):
        raise TypeError(
            "cannot pickle or copy an HDF5 File: pickle the Checkpoint that kio.open gave, or open it again")

    @property
    def held(self):
        """Bytes of the file's structure in memory of kio's: what was read lately."""
        return self.s.image.held

    @property
    def groups(self):
        """Paths of all groups but the root, in the order of the walk."""
        cdef size_t i
        return [self.paths[i] for i in range(1, self.objects.count) if self.objects.items[i].kind == GROUP]

    def is_group(self, str path):
        """Whether ``path`` is the first one of a group other than the root."""
        cdef size_t i
        for i in range(1, self.objects.count):
            if self.objects.items[i].kind == GROUP and <str>self.paths[i] == path:
                return True
        return False

    def attributes(self, str path):
        """The attributes of a group or dataset, decoded; "" is the root group.

        Strings become str, or bytes where they are no UTF-8; arrays of strings become
        lists; numbers become NumPy scalars and arrays in native byte order; any other
        kind an ``Unreadable``.

        Raises:
            KeyError: if there is no such group or dataset.
            FormatError: if the attributes are damaged or exceed a limit.
        """
        cdef size_t i
        cdef uint64_t header
        # Few callers ask for single objects other than the root, so open() does not pay for this.
        if path and self.headers is None:
            self.headers = {self.paths[i]: self.objects.items[i].header for i in range(self.objects.count)
                            if self.objects.items[i].kind != NAMED_TYPE}
        header = self.headers[self.aliases.get(path, path)] if path else self.root
        found = self.decoded.get(header)
        if found is None:
            self.s.work = self.attribute_work
            self.s.image.hold()
            try:
                found = attributes_of(self.s, header)
            finally:
                self.attribute_work = self.s.work
                self.s.image.spare()
            # The first asked for are the marks that every reader looks at; the rest is asked for once.
            if len(self.decoded) < KEPT:
                self.decoded[header] = found
        return dict(found)

    def attribute_of_all(self, str name):
        """The value of one attribute on every object that has it: path -> value.

        About a microsecond an object, where ``attributes`` takes three.
        """
        cdef size_t i
        cdef bytes wanted = name.encode("utf-8", "surrogateescape")
        cdef object missing = object()
        cdef dict found = {}
        self.s.refill()
        # In the order of the file, so that what is read goes by once and need not be kept.
        for i in self.by_address():
            self.s.image.hold()
            try:
                value = attribute_of(self.s, self.objects.items[i].header, wanted, missing)
            finally:
                self.s.image.spare()
            if value is not missing:
                found[i] = value
        return {self.paths[i]: found[i] for i in sorted(found)}

    cdef list by_address(self):
        """Numbers of the objects with attributes, as their headers lie in the file."""
        cdef size_t i
        cdef list at = [(self.objects.items[i].header, i) for i in range(self.objects.count)
                        if self.objects.items[i].attributes and self.objects.items[i].kind != NAMED_TYPE]
        at.sort()
        return [i for _, i in at]

    def __repr__(self):
        return (f"File({self.source.name!r}, {self.info['datasets']} datasets, "
                f"{self.info['groups']} groups)")

    cdef int superblock(self) except -1:
        cdef Cursor c
        cdef Structure s = self.s
        cdef uint64_t at = 0, base, eof, extension = UINT64_MAX, driver = UINT64_MAX
        cdef unsigned version, flags
        while True:
            if at > s.end or s.end - at < 16:
                s.corrupt("signature: expected \\x89HDF at byte 0, 512, 1024, …, found none", 0,
                          "format signature")
            s.view(&c, at, 16)
            if starts(&c, b"\x89HDF\r\n\x1a\n", 8):
                break
            at = at * 2 if at else 512
        skip(&c, 8)
        version = u8(&c)
        if version > 3:
            s.unsupported(f"superblock version: expected 0 to 3, found {version}", at + 8, "version")
        if version < 2:
            skip(&c, 4)
        s.address_nbytes, s.length_nbytes = u8(&c), u8(&c)
        if s.address_nbytes not in (4, 8) or s.length_nbytes not in (4, 8):
            s.unsupported("size of offsets and lengths: expected 4 or 8 bytes, found "
                          f"{s.address_nbytes} and {s.length_nbytes}", at, "size of offsets")
        if version < 2:
            s.parse(&c, at, 24 + (4 if version else 0) + 6 * s.address_nbytes + 24)
            seek(&c, 28 if version else 24)
        else:
            s.parse(&c, at, 16 + 4 * s.address_nbytes)
            s.verify(at, 12 + 4 * s.address_nbytes)
            seek(&c, 11)
            flags = u8(&c)
            if flags & 5:
                raise UnsupportedError(
                    f"file consistency flags: expected a closed file, found {flags:#x} "
                    "(open for writing)", source=s.name, offset=at + 11,
                    field="file consistency flags", hint="close its writer, or run h5clear -s on it")
            if flags & ~7:
                s.corrupt(f"file consistency flags: expected at most 7, found {flags:#x}", at + 11,
                          "file consistency flags")
        base = uint(&c, s.address_nbytes)
        s.base = at
        if version < 2:
            skip(&c, s.address_nbytes)
            eof = uint(&c, s.address_nbytes)
            driver = address(s, &c)
            skip(&c, s.address_nbytes)
        else:
            extension = address(s, &c)
            eof = uint(&c, s.address_nbytes)
        self.root = address(s, &c)
        # The end of the file is stored absolute, so it moves with the superblock.
        if eof >= base:
            eof -= base
            if eof > s.end - at:
                raise TruncatedError(
                    f"end of file address: expected at most {s.end - at}, found {eof}",
                    source=s.name, offset=s.end, field="end of file address",
                    hint="the file was cut short")
            s.end = eof + at
        else:
            s.corrupt(f"end of file address: expected at least the base address {base}, found {eof}",
                      at, "end of file address")
        if driver != UINT64_MAX:
            s.unsupported("driver information: expected none, found a multi-file driver's", driver,
                          "driver information block address")
        self.info["superblock"], self.info["user_block"], self.info["end_of_file"] = version, at, s.end
        if extension != UINT64_MAX:
            self.extension(extension)
        return 0

    cdef int extension(self, uint64_t at) except -1:
        cdef Cursor c
        cdef Header h
        cdef Message m
        open_header(self.s, &h, at)
        while next_message(self.s, &h, &m):
            if m.type == DRIVER_INFO:
                self.s.unsupported("driver information: expected none, found a multi-file driver's",
                                   m.offset)
            elif m.type == CACHE_IMAGE:
                self.s.view(&c, m.offset, m.nbytes)
                skip(&c, 1)
                if address(self.s, &c) != UINT64_MAX:
                    self.s.unsupported("metadata cache image: expected none, found one", m.offset)
        return 0

    cdef int walk(self) except -1:
        """Visit every object once, depth first, in the order in which links are stored."""
        cdef Cursor c
        cdef Structure s = self.s
        cdef Links todo = Links()
        cdef Link link
        cdef uint64_t nbytes, most = s.limits.name_bytes
        cdef char *path = <char *>malloc(most + 1)
        cdef str name
        if path == NULL:
            raise MemoryError()
        try:
            self.visit("", self.root, 0, todo)
            if self.objects.items[0].kind != GROUP:
                s.corrupt("root object: expected a group, found another kind", self.root)
            while todo.count:
                todo.count -= 1
                link = todo.items[todo.count]
                nbytes = <uint64_t>link.prefix + link.name_nbytes
                if nbytes > most or nbytes > s.paths:
                    _too_long(s, nbytes, &link)
                s.paths -= nbytes
                s.view(&c, link.name, link.name_nbytes)
                copy(&c, path + link.prefix, link.name_nbytes)
                if (link.name_nbytes == 0 or memchr(path + link.prefix, b"/", link.name_nbytes) != NULL
                        or memchr(path + link.prefix, 0, link.name_nbytes) != NULL):
                    s.corrupt("link name: expected one without '/' and NUL, found "
                              f"{shown((path + link.prefix)[:link.name_nbytes])}", link.name, "link name")
                name = PyUnicode_DecodeUTF8(path, nbytes, b"surrogateescape")
                path[nbytes] = b"/"
                if link.kind == HARD:
                    self.visit(name, link.target, <uint32_t>nbytes + 1, todo)
                else:
                    self.refused[name] = _reason(s, &link)
        finally:
            free(path)
        self.info["datasets"] = len(self.tensors)
        self.info["groups"] = self.ngroups - 1  # the root is no member of .groups either
        return 0

    cdef int visit(self, str path, uint64_t header, uint32_t prefix, Links todo) except -1:
        """Sort an object in as group, dataset or alias; queue the links of a group."""
        cdef Structure s = self.s
        cdef Facts facts
        cdef Object *thing
        cdef size_t number, i, before = todo.count
        if header >= s.end:
            s.inside(header, 1, f"object header of {shown(path)}")
        number = self.objects.enter(header)
        if number < <size_t>len(self.paths):
            # The second hard link to an object; a loop of groups ends here too.
            if self.objects.items[number].kind == NAMED_TYPE:
                self.refused[path] = "named datatype"
            else:
                self.aliases[path] = self.paths[number]
            return 0
        self.paths.append(path)
        _gather(s, header, &facts, todo)
        thing = self.objects.items + number
        thing.attributes = facts.attributes
        if facts.layout:
            if facts.symbols or facts.links:
                s.corrupt("object header: expected a group or a dataset, found messages of both", header)
            thing.kind = DATASET
            self.dataset(path, &facts)
        elif facts.symbols or facts.links:
            if facts.symbols and facts.links:
                s.corrupt("object header: expected one kind of links, found two", header)
            if facts.symbols:
                symbol_table(s, facts.btree, facts.heap, todo)
            else:
                if facts.dense:
                    dense_links(s, facts.heap, facts.btree, todo)
                _unique(s, todo, before)
                self.info["linked_groups"] += 1
            self.ngroups += 1
            for i in range(before, todo.count):
                todo.items[i].prefix = prefix
            # The stack pops the last first.
            todo.reverse(before)
        elif facts.type:
            thing.kind = NAMED_TYPE
            self.refused[path] = "named datatype"
        else:
            s.corrupt("object header: expected messages of a group, dataset or datatype, found none", header)
        return 0

    cdef int dataset(self, str path, const Facts *facts) except -1:
        """Append the row of a dataset to the index."""
        cdef Structure s = self.s
        cdef Space space
        cdef Type t
        cdef Layout layout
        cdef Row *row
        cdef unsigned i
        if facts.shared or not facts.type or not facts.space:
            if not facts.shared:
                s.corrupt("dataset: expected a datatype and a dataspace, found not both", facts.layout)
            row = self.tensors.append(path, 0)
            row.dtype = -1
            return self.unreadable(path, row, "committed datatype or shared header message")
        parse_space(s, facts.space, facts.space_nbytes, &space)
        parse_type(s, facts.type, facts.type_nbytes, &t)
        parse_layout(s, facts.layout, facts.layout_nbytes, &layout)
        row = self.tensors.append(path, space.rank)
        row.dtype = t.dtype
        row.big = t.big
        for i in range(space.rank):
            self.tensors.dims[row.dims + i] = space.dims[i]
        if facts.external:
            return self.unreadable(path, row, "external storage")
        if layout.cls == VIRTUAL:
            return self.unreadable(path, row, "virtual dataset")
        if t.text and not space.null:
            self.tensors.texts[path] = _texts(s, &t)
            t.problem = NULL
        if t.problem != NULL:
            return self.unreadable(path, row, t.problem.decode())
        if space.null:
            return self.unreadable(path, row, "null dataspace")
        if layout.cls == CHUNKED:
            return self.chunked(path, row, facts)
        if facts.filters:
            return self.unreadable(path, row, "filters without chunks")
        return self.place(path, row, &t, &layout, times(space.nelems, t.itemsize))

    cdef int chunked(self, str path, Row *row, const Facts *facts) except -1:
        """Walk the index once for its checks; the extents are made when they are asked for."""
        cdef Chunks chunks = _chunks(self.s, facts, False)
        if chunks.pipeline.problem is not None:
            return self.unreadable(path, row, chunks.pipeline.problem)
        row.kind = EXPAND
        self.info["chunked"] += 1
        if chunks.layout.offset != UINT64_MAX:
            find_chunks(chunks)
        if chunks.count == 0 and 0 not in chunks.dims[:chunks.rank]:
            return self.unreadable(path, row, "no data stored")
        self.expander.headers[path] = facts.header
        return 0

    cdef int place(self, str path, Row *row, const Type *t, const Layout *layout,
                   uint64_t nbytes) except -1:
        """Fill the row of a contiguous or compact dataset of ``nbytes`` decoded."""
        cdef Structure s = self.s
        if layout.cls == CONTIGUOUS and layout.offset == UINT64_MAX and nbytes:
            return self.unreadable(path, row, "no data stored")
        if layout.nbytes != nbytes and layout.nbytes != UINT64_MAX:
            raise CorruptError(f"stored size: expected {nbytes} bytes, found {layout.nbytes}",
                               source=s.name, tensor=path, field="size",
                               offset=None if nbytes == 0 else layout.offset)
        row.kind = TEXT if t.text else PLAIN
        row.nbytes = nbytes
        if nbytes:
            if layout.offset > s.end or nbytes > s.end - layout.offset:
                s.inside(layout.offset, nbytes, f"raw data of {shown(path)}")
            row.offset = layout.offset
            if layout.cls == CONTIGUOUS:
                s.ranges.add_raw(layout.offset, nbytes)
        return 0

    cdef int unreadable(self, str path, Row *row, str why) except -1:
        row.kind = UNREADABLE
        self.tensors.problems[path] = why
        return 0


cdef int _unique(Structure s, Links links, size_t first) except -1:
    """Names of link messages and dense links come in any order, but each once.

    With names unique in every group, and '/' in none, paths are unique without a look-up.
    """
    cdef Cursor c
    cdef size_t i
    cdef set names = set()
    for i in range(first, links.count):
        s.view(&c, links.items[i].name, links.items[i].name_nbytes)
        names.add(take(&c, links.items[i].name_nbytes))
    if <size_t>len(names) != links.count - first:
        s.corrupt("link names: expected each once in a group, found one twice", links.items[first].name)
    return 0


cdef class Expander:
    def __call__(self, str path, size_t number):
        """The stored chunks of a dataset, each as an Extent."""
        cdef Facts facts
        cdef Chunks chunks
        self.s.refill()
        self.s.image.hold()
        try:
            _gather(self.s, self.headers[path], &facts, Links())
            chunks = _chunks(self.s, &facts, True)
            if chunks.layout.offset != UINT64_MAX:
                find_chunks(chunks)
        finally:
            self.s.image.spare()
        if self.table is not None:
            sum_chunks(self.table, chunks.extents)
        return chunks.extents


cdef Texts _texts(Structure s, const Type *t):
    cdef Texts texts = Texts()
    texts.s, texts.itemsize, texts.heap, texts.padding = s, t.itemsize, t.text == HEAP_TEXT, t.padding
    return texts


cdef class Texts:
    """What h5py gives: NumPy's ``S`` for strings of a fixed length, objects of bytes for others."""

    run = None                   # each element is stored by itself

    @property
    def as_stored(self):
        """Whether NumPy has the same form: padded with zeros, and ended by none."""
        return not self.heap and self.padding == NUL_PADDED

    def __call__(self, raw, tensor):
        """The text of an array of stored elements.

        Raises:
            FormatError: for a reference that leads nowhere, or to more text than the file can have.

        Memory: what the file has of text, once for each element that refers to it, and no more
        than ``limits.work_factor`` times the file's size.
        """
        cdef Cursor c
        cdef Image image
        cdef size_t i
        if not self.heap:
            ends = b" " if self.padding == SPACE_PADDED else None
            found = [each.rstrip(ends) if ends else each.split(b"\0", 1)[0] for each in raw.reshape(-1).tolist()]
            return np.array(found, raw.dtype).reshape(raw.shape)
        # NumPy drops zeros at the end of elements, of bytes it does not.
        image = Image(Source.of_bytes(raw.tobytes(), self.s.name))
        c = span(image, 0, image.nbytes)
        out = np.empty(raw.size, object)
        self.s.refill()
        self.s.image.hold()
        try:
            for i in range(raw.size):
                out[i] = self.of_heap(&c)
        finally:
            self.s.image.spare()
        return out.reshape(raw.shape)

    cdef bytes of_heap(self, Cursor *c):
        cdef Cursor stored
        cdef uint64_t offset, nbytes
        heap_text(self.s, c, &offset, &nbytes)
        if nbytes == 0:
            return b""
        self.s.charge(nbytes)
        self.s.view(&stored, offset, nbytes)
        return take(&stored, nbytes).split(b"\0", 1)[0]


cdef Chunks _chunks(Structure s, const Facts *facts, bint keep):
    cdef Space space
    cdef Type t
    cdef Layout layout
    cdef Pipeline pipeline = Pipeline()
    parse_space(s, facts.space, facts.space_nbytes, &space)
    parse_type(s, facts.type, facts.type_nbytes, &t)
    parse_layout(s, facts.layout, facts.layout_nbytes, &layout)
    if facts.filters:
        pipeline = parse_filters(s, facts.filters, facts.filters_nbytes, t.itemsize)
    return chunks_of(s, &layout, &space, pipeline, t.itemsize, keep)


cdef int _gather(Structure s, uint64_t header, Facts *facts, Links todo) except -1:
    """Note which messages an object header has; compact links are queued as they come."""
    cdef Cursor c
    cdef Header h
    cdef Message m
    cdef uint64_t *once
    memset(facts, 0, sizeof(Facts))
    facts.header = header
    open_header(s, &h, header)
    while next_message(s, &h, &m):
        once = NULL
        if m.type == DATASPACE:
            once, facts.space_nbytes = &facts.space, m.nbytes
        elif m.type == DATATYPE:
            once, facts.type_nbytes = &facts.type, m.nbytes
        elif m.type == LAYOUT:
            once, facts.layout_nbytes = &facts.layout, m.nbytes
        elif m.type == FILTERS:
            once, facts.filters_nbytes = &facts.filters, m.nbytes
        elif m.type == ATTRIBUTE or m.type == ATTRIBUTE_INFO:
            facts.attributes = True
        elif m.type == EXTERNAL_FILES:
            facts.external = True
        elif m.type == LINK:
            facts.links = True
            link_message(s, m.offset, m.nbytes, todo)
        elif m.type == LINK_INFO:
            facts.links = True
            _link_info(s, &m, facts)
        elif m.type == SYMBOL_TABLE:
            if facts.symbols:
                s.corrupt("symbol table message: expected one, found two", m.offset)
            facts.symbols = True
            s.view(&c, m.offset, m.nbytes)
            facts.btree = address(s, &c)
            facts.heap = address(s, &c)
        if once != NULL:
            if once[0]:
                s.corrupt(f"header message of type {m.type:#x}: expected one, found two", m.offset)
            once[0] = m.offset
            if m.flags & SHARED:
                facts.shared = True
    return 0


cdef int _link_info(Structure s, const Message *m, Facts *facts) except -1:
    # version u8, flags u8, [maximum creation index u64], fractal heap O, name B-tree O, …
    cdef Cursor c
    cdef unsigned version, flags
    s.view(&c, m.offset, m.nbytes)
    version = u8(&c)
    flags = u8(&c)
    if version or flags & ~3:
        s.unsupported(f"link info: expected version 0 and flags up to 3, found {version} and {flags}",
                      m.offset, "version")
    skip(&c, 8 if flags & 1 else 0)
    facts.heap = address(s, &c)
    facts.btree = address(s, &c)
    facts.dense = facts.heap != UINT64_MAX
    return 0


cdef str _reason(Structure s, const Link *link):
    """Why a link is not followed.  The target is shown, never touched."""
    cdef Cursor c
    cdef uint32_t nbytes = min(link.target_nbytes, <uint32_t>300)
    if link.kind == SOFT:
        s.view(&c, link.target, nbytes)
        return f"soft link to {shown(text(&c, nbytes, b'backslashreplace'))}"
    if link.kind == EXTERNAL:
        s.view(&c, link.target, nbytes)
        skip(&c, min(1, nbytes))
        where = text(&c, left(&c), b"backslashreplace").split("\0")
        return f"external link to {shown(':'.join(where[:2]))}"
    return "user-defined link"


cdef int _too_long(Structure s, uint64_t nbytes, const Link *link) except -1:
    if nbytes > <uint64_t>s.limits.name_bytes:
        raise LimitError(f"path: expected at most limits.name_bytes={s.limits.name_bytes} bytes, "
                         f"found {nbytes}", source=s.name, offset=link.name, field="name_bytes")
    raise LimitError(f"paths: expected at most 4 * limits.work_factor={s.limits.work_factor} times "
                     "the file's size, found more", source=s.name, offset=link.name,
                     field="work_factor", hint="long names repeat in many paths")
