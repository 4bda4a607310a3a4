"""Leaf, Node, Container: what a Tree is made of.

A model of 100,000 variables has as many leaves, and matching asks each for its key, shape and
dtype.  As C structures they cost a third of what Python's objects do.
"""

cimport cython
from cpython.dict cimport PyDict_Next
from cpython.ref cimport PyObject

cdef frozenset NO_RIVALS = frozenset()
cdef dict NO_FORMS = {}
cdef dict NO_KEYS = {}


@cython.final
cdef class Leaf:
    """One model variable under one key of its object.

    Attributes:
        key: Key in the object's own store: ``"0"``, ``"1"``, …
        path: Path for messages, as the framework spells it, e.g. ``"dense/kernel"``.
        name: Name of the variable alone, e.g. ``"kernel"``.
        shape: In elements.
        dtype: Name of a row of ``kio.dtypes``.
        handle: The live variable; opaque here.
        node: The object that owns it.
    """

    def __init__(self, str key, str path, str name, tuple shape, str dtype, handle, Node node):
        self.key, self.path, self.name, self.shape, self.dtype = key, path, name, shape, dtype
        self.handle, self.node = handle, node

    def __reduce_ex__(self, protocol):
        # The state comes after the object: leaves and nodes lead to each other.
        return _new_leaf, (), (self.key, self.path, self.name, self.shape, self.dtype, self.handle, self.node)

    def __setstate__(self, tuple state):
        self.key, self.path, self.name, self.shape, self.dtype, self.handle, self.node = state

    def __repr__(self):
        return f"Leaf({self.path}, {self.dtype}{list(self.shape or ())})"


@cython.final
cdef class Node:
    """One saveable object.

    Attributes:
        index: Position in ``Tree.nodes``.
        cls: Class name in snake case; containers name their members by it.
        kind: ``"Functional"``, ``"Sequential"``, ``"Layer"``, ``"Optimizer"``, …: what decides
            how the object is walked and how strictly it is loaded.
        name: The object's own name, or None.
        entries: ``(attribute, child)`` in the order of the newest writer.
        leaves: Its own variables in the order of their keys.
        expects: Number of keys the object insists on, or None where it does not count.
        loads: Whether it reads variables at all.
        custom: It runs code of its own on a dict-like view of what is stored for it.
        built: False where the object has not made its variables yet.
        rivals: Names that prove, if stored, that the state is of another kind of object.
        assets: Whether it loads assets.
        skip: Leave it and what hangs only on it alone.
        forms: By key of a leaf: the form in which another version of the framework kept it.
        spare: Shapes of variables that older writers kept for it to no use.
        others: Keys of its leaves under another order, which counts where only that one fits.
        table: It had a table of words or a summary among its weights in tf.keras, which is no variable here.
        handle: The live object; opaque here.
        after: What remains to be done once its variables are set, or None.
    """

    def __init__(self, Py_ssize_t index, str cls, str kind, str name, handle=None):
        self.index, self.cls, self.kind, self.name, self.handle = index, cls, kind, name, handle
        self.entries, self.leaves = [], []
        self.built = True
        self.rivals, self.forms, self.spare, self.others = NO_RIVALS, NO_FORMS, (), NO_KEYS

    def release(self):
        """Let go of the live object and of all that hangs on it; what it was called stays."""
        self.handle = self.after = None
        self.entries, self.leaves, self.forms, self.others = [], [], NO_FORMS, NO_KEYS

    def __reduce_ex__(self, protocol):
        return Node, (self.index, self.cls, self.kind, self.name), (
            self.handle, self.entries, self.leaves, self.expects, self.loads, self.custom, self.built, self.rivals,
            self.assets, self.skip, self.forms, self.spare, self.others, self.table, self.after)

    def __setstate__(self, tuple state):
        (self.handle, self.entries, self.leaves, self.expects, self.loads, self.custom, self.built, self.rivals,
         self.assets, self.skip, self.forms, self.spare, self.others, self.table, self.after) = state

    def __repr__(self):
        return f"Node({self.cls} {self.name!r}, {len(self.leaves or ())} leaves, {len(self.entries or ())} entries)"


@cython.final
cdef class Container:
    """A list, tuple, set or the values of a dict; members that save nothing are left out.

    Nested containers stay even when empty: their place counts when others are named.
    """

    def __init__(self, str kind, list items=None):
        self.kind = kind
        self.items = [] if items is None else items

    def __reduce_ex__(self, protocol):
        return Container, (self.kind,), self.items

    def __setstate__(self, list state):
        self.items = state

    def __repr__(self):
        return f"Container({self.kind}, {len(self.items or ())} items)"


def _new_leaf():
    return Leaf.__new__(Leaf)


def describe(Node node, variables, tuple keys, tuple attributes):
    """Give a node a leaf for each of its variables.

    Args:
        node: The object that they belong to.
        variables: The live variables, in the order of their keys.
        keys: The keys ``"0"``, ``"1"``, …; as many as pay.
        attributes: What path, name, shape and dtype are called on a variable.

    Raises:
        AttributeError, TypeError: if a variable has them not, or of another type; the node has no leaves then.
    """
    cdef Leaf leaf
    cdef Py_ssize_t i = 0, known = len(keys)
    cdef list leaves = []
    path, name, shape, dtype = attributes
    for each in variables:
        leaf = Leaf.__new__(Leaf)
        leaf.key = keys[i] if i < known else str(i)
        leaf.path, leaf.name = getattr(each, path), getattr(each, name)
        leaf.shape, leaf.dtype = getattr(each, shape), getattr(each, dtype)
        if leaf.path is None or leaf.name is None or leaf.shape is None or leaf.dtype is None:
            raise TypeError("variable: expected a path, a name, a shape and a dtype, found None")
        leaf.handle, leaf.node = each, node
        leaves.append(leaf)
        i += 1
    node.leaves = leaves


def release(list leaves):
    """Let go of the live variables, and of the objects that own them."""
    cdef Leaf leaf
    for each in leaves:
        leaf = each
        leaf.handle = None
        if leaf.node is not None:
            leaf.node.release()


cdef enum:
    SLOTS = 256              # types remembered by their address, before the dict is asked


@cython.final
cdef class Kinds:
    """Which attributes of an object lead to other objects of the tree, by the types of their values.

    Args:
        kind_of: What a value is: 0 for what leads nowhere.  It is asked once a type.
    """

    cdef object kind_of
    cdef dict known                  # type -> kind; keeps the types alive whose addresses are below
    cdef void *types[SLOTS]
    cdef int kinds[SLOTS]

    def __cinit__(self):
        self.known = {}

    def __init__(self, kind_of):
        self.kind_of = kind_of

    cdef int seen(self, value) except -2:
        """The kind of a value, or -1 where none of its type has been met."""
        cls = type(value)
        cdef void *address = <void *>cls
        cdef size_t slot = (<size_t>address >> 4) % SLOTS
        if self.types[slot] == address:
            return self.kinds[slot]
        known = self.known.get(cls)
        if known is None:
            return -1
        self.types[slot], self.kinds[slot] = address, known
        return known

    cpdef int of(self, value) except -1:
        """The kind of a value."""
        cdef int kind = self.seen(value)
        if kind < 0:
            kind = self.kind_of(value)
            if kind < 0:
                raise ValueError(f"kind: expected 0 or more, found {kind}")
            self.known[type(value)] = kind
        return kind

    def plain(self, values):
        """Whether all of these are of types that were met, and lead nowhere."""
        for value in values:
            if self.seen(value) != 0:
                return False
        return True

    def leading(self, dict table, Barred barred, bint numbered=True):
        """``(name, value)`` of what leads somewhere, in the order of the table.

        Args:
            table: Attributes by name.
            barred: Names that are not looked at.
            numbered: Whether names that begin with a digit are.
        """
        cdef list found, fresh
        cdef str name
        cdef int kind
        cdef Py_ssize_t at
        cdef PyObject *key
        cdef PyObject *value
        while True:
            found, fresh, at = [], [], 0
            with cython.critical_section(table):
                # A value is touched only if its name may count: most are not in the cache.
                while PyDict_Next(table, &at, &key, &value):
                    if barred.bars(<object>key):
                        continue
                    name, each = <str>key, <object>value
                    kind = self.seen(each)
                    if kind == 0 or (not numbered and len(name) and name[0].isdigit()):
                        continue
                    (found if kind > 0 else fresh).append((name, each))
            if not fresh:
                return found
            # Whoever is asked about a type may do anything, also to the table.
            for _, each in fresh:
                self.of(each)


@cython.final
cdef class Barred:
    """Names of attributes that are not looked at: these, and those that begin with two underscores."""

    cdef frozenset names
    cdef dict known                  # name -> whether it is barred; keeps the names alive whose addresses are below
    cdef void *addresses[SLOTS]
    cdef bint verdicts[SLOTS]

    def __cinit__(self, names=()):
        self.names, self.known = frozenset(names), {}

    cdef bint bars(self, name) except -1:
        cdef void *address = <void *>name
        cdef size_t slot = (<size_t>address >> 4) % SLOTS
        if self.addresses[slot] == address:
            return self.verdicts[slot]
        if type(name) is not str:
            return True
        verdict = name in self.names or (<str>name).startswith("__")
        if len(self.known) < SLOTS and name not in self.known:
            self.known[name] = verdict
            self.addresses[slot], self.verdicts[slot] = address, verdict
        return verdict

    def __contains__(self, name):
        return self.bars(name)
