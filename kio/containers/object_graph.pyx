"""TrackableObjectGraph: what a TensorFlow checkpoint says of the objects that its tensors belong to.

It is the value of the key ``_CHECKPOINTABLE_OBJECT_GRAPH``, and part of every SavedModel.

    graph        1 node *                                      node 0 is the root
    node         1 child *            {1 node, 2 local name}
                 2 attribute *        {1 name, 2 full name, 3 checkpoint key, 4 (old) optional restore}
                 3 slot variable *    {1 node of the original, 2 slot's name, 3 node of the slot variable}
                 4 registered saver   {1 name, 2 object's name}
                 5 has checkpoint values {1 bool}

A variable has the attribute ``VARIABLE_VALUE``; tables and Python state have others.  One
object can have several names, so a graph has loops and shared nodes, and a checkpoint key is
the path from the root that was shortest when it was written: keys are never parsed.

Spec: tensorflow/core/protobuf/trackable_object_graph.proto.
"""

from kio.errors import CorruptError, LimitError
from kio.limits import DEFAULT

from libc.stdint cimport uint64_t
from libc.stdlib cimport free

from kio.containers.proto cimport Field, field, number_of, only, span_of
from kio.raw.cursor cimport Cursor, enter, left, text
from kio.raw.memory cimport grow
from kio.raw.source cimport Image, Source

cdef struct Node:
    uint64_t offset
    uint64_t nbytes


cdef class ObjectGraph:
    """The nodes of a graph by number; a node is parsed when it is asked for.

    Args:
        source: The serialised graph.
        limits: Caps; ``config_nodes`` bounds the nodes, ``name_bytes`` each name.

    Raises:
        FormatError: if the bytes are no graph, or have more nodes than that.

    Cost: 16 bytes a node.
    """
    cdef readonly Source source
    cdef readonly object limits
    cdef Image image
    cdef Node *nodes
    cdef size_t nnodes, cap_nodes

    def __cinit__(self, Source source, limits=DEFAULT):
        cdef Cursor c
        cdef Field f
        cdef Cursor span
        self.source, self.limits, self.image = source, limits, Image(source)
        enter(&c, self.image, 0, source.nbytes)
        while field(&c, &f):
            if f.number != 1:
                continue
            span = span_of(&f)
            if self.nnodes >= <size_t>limits.config_nodes:
                raise LimitError(f"object graph: expected at most limits.config_nodes={limits.config_nodes} nodes, "
                                 "found more", source=source.name, offset=f.offset, field="config_nodes")
            grow(<void **>&self.nodes, &self.cap_nodes, self.nnodes + 1, sizeof(Node))
            self.nodes[self.nnodes].offset, self.nodes[self.nnodes].nbytes = span.origin, left(&span)
            self.nnodes += 1
        if self.nnodes == 0:
            raise CorruptError("object graph: expected a root, found no node", source=source.name, offset=0)

    def __dealloc__(self):
        free(self.nodes)

    def __len__(self):
        return self.nnodes

    cdef int node(self, size_t number, Cursor *c) except -1:
        if number >= self.nnodes:
            raise IndexError(f"node {number} of {self.nnodes}")
        return enter(c, self.image, self.nodes[number].offset, self.nodes[number].nbytes)

    cdef object number(self, const Field *f):
        """The number of a node, which must be there."""
        cdef uint64_t number = number_of(f)
        if number >= self.nnodes:
            raise CorruptError(f"node: expected a number below {self.nnodes}, found {number}",
                               source=self.source.name, offset=f.offset)
        return number

    cdef str name(self, const Field *f):
        cdef Cursor span = span_of(f)
        if left(&span) > <uint64_t>self.limits.name_bytes:
            raise LimitError(f"name: expected at most limits.name_bytes={self.limits.name_bytes}, found "
                             f"{left(&span)} bytes", source=self.source.name, offset=f.offset, field="name_bytes")
        try:
            return text(&span, left(&span), "strict")
        except UnicodeDecodeError:
            raise CorruptError("name: expected UTF-8, found other bytes",
                               source=self.source.name, offset=f.offset) from None

    def children(self, size_t node):
        """Local names of a node's children, and their nodes.

        Args:
            node: Number of the node.

        Returns:
            ``{name: number}``, in the order stored.

        Raises:
            CorruptError: for a child that is not there, or two of one name.
        """
        cdef Cursor c, span
        cdef Field f
        cdef uint64_t seen
        found = {}
        self.node(node, &c)
        while field(&c, &f):
            if f.number != 1:
                continue
            span, at = span_of(&f), f.offset
            number, name, seen = 0, "", 0
            while field(&span, &f):
                if f.number == 1:
                    only(&f, &seen)
                    number = self.number(&f)
                elif f.number == 2:
                    only(&f, &seen)
                    name = self.name(&f)
            if name in found:
                raise CorruptError(f"children of node {node}: expected {name!r} once, found it again",
                                   source=self.source.name, offset=at)
            found[name] = number
        return found

    def attributes(self, size_t node):
        """What of a node is stored: ``{name: (full name, checkpoint key)}``.

        Args:
            node: Number of the node.

        Raises:
            CorruptError: for two attributes of one name.
        """
        cdef Cursor c, span
        cdef Field f
        cdef uint64_t seen
        found = {}
        self.node(node, &c)
        while field(&c, &f):
            if f.number != 2:
                continue
            span, at, seen = span_of(&f), f.offset, 0
            parts = ["", "", ""]
            while field(&span, &f):
                if 1 <= f.number <= 3:
                    only(&f, &seen)
                    parts[f.number - 1] = self.name(&f)
            if parts[0] in found:
                raise CorruptError(f"attributes of node {node}: expected {parts[0]!r} once, found it again",
                                   source=self.source.name, offset=at)
            found[parts[0]] = parts[1], parts[2]
        return found

    def slots(self, size_t node):
        """Slot variables of an optimizer: ``[(node of the variable, slot's name, node of the slot variable)]``.

        Args:
            node: Number of the node.
        """
        cdef Cursor c, span
        cdef Field f
        cdef uint64_t seen
        found = []
        self.node(node, &c)
        while field(&c, &f):
            if f.number != 3:
                continue
            span, original, slot, name, seen = span_of(&f), 0, 0, "", 0
            while field(&span, &f):
                if 1 <= f.number <= 3:
                    only(&f, &seen)
                if f.number == 1:
                    original = self.number(&f)
                elif f.number == 2:
                    name = self.name(&f)
                elif f.number == 3:
                    slot = self.number(&f)
            found.append((original, name, slot))
        return found

    def saver(self, size_t node):
        """``(name, object's name)`` of a saver of its own, or None."""
        cdef Cursor c, span
        cdef Field f
        cdef uint64_t seen = 0
        self.node(node, &c)
        while field(&c, &f):
            if f.number == 4:
                span = span_of(&f)
                parts = ["", ""]
                while field(&span, &f):
                    if 1 <= f.number <= 2:
                        only(&f, &seen)
                        parts[f.number - 1] = self.name(&f)
                return tuple(parts)
        return None
