cdef class Leaf:
    """One model variable under one key of its object."""
    cdef public str key
    cdef public str path
    cdef public str name
    cdef public tuple shape              # elements
    cdef public str dtype                # a row of kio.dtypes
    cdef public object handle            # the live variable
    cdef public Node node                # whose it is


cdef class Node:
    """One saveable object; see nodes.pyx for what each field means."""
    cdef public Py_ssize_t index
    cdef public str cls
    cdef public str kind
    cdef public str name
    cdef public list entries             # (attribute, Node or Container), …
    cdef public list leaves              # of Leaf
    cdef public object expects           # int, or None
    cdef public bint loads
    cdef public bint custom
    cdef public bint built
    cdef public bint assets
    cdef public bint skip
    cdef public bint table
    cdef public object rivals            # frozenset of str
    cdef public object forms             # Mapping[str, Form]
    cdef public object spare             # Sequence[tuple[int, ...]]
    cdef public object others            # Mapping[Leaf, str]
    cdef public object handle            # the live object
    cdef public object after             # callable, or None


cdef class Container:
    """A list, tuple, set or the values of a dict."""
    cdef public str kind
    cdef public list items               # of Node or Container
