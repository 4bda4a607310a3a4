"""Keys: names of stored tensors taken apart, and objects of a model put in their places.

The loops that every variable passes.  What is plain is done here: keys by number, equal shapes,
dtypes that fit.  Whatever needs a closer look is left to the caller, who knows the exceptions.
"""

cimport cython

from kio.mapping.nodes cimport Container, Leaf, Node
from kio.raw.tensor cimport Tensor, spec_of


def grouped(names, bint backslashes=False):
    """Names of the pattern ``<object>/vars/<key>`` by object.

    Args:
        names: In the order of the file.
        backslashes: ``\\`` separates parts as well.

    Returns:
        Object path → key → name, the root's path being ``""``; and the names that follow no such pattern.

    Cost: an eighth of a microsecond a name.
    """
    cdef dict groups = {}, group = None
    cdef list loose = []
    cdef str name, text, path = None
    cdef Py_ssize_t cut, last = -1
    for each in names:
        name = text = each
        if backslashes:
            text = name.replace("\\", "/")
        cut = text.rfind("/vars/")
        if cut <= 0:
            if not text.startswith("vars/"):
                loose.append(name)
                continue
            # No path, and so no slash before its variables.
            cut = -1
        # The variables of an object mostly follow each other.
        if group is None or cut != last or not (cut < 0 or text.startswith(path)):
            path, last = text[:cut] if cut > 0 else "", cut
            group = groups.get(path)
            if group is None:
                group = groups[path] = {}
        group[text[cut + 6:]] = name
    return groups, loose


# Rows have one item a node, by its index.  Anybody can set an index or shorten a list, so all go through these.
cdef inline object at(list row, Py_ssize_t i):
    if not 0 <= i < len(row):
        raise IndexError(f"index of a node: expected less than {len(row)}, found {i}")
    return row[i]


cdef inline int put(list row, Py_ssize_t i, value) except -1:
    if not 0 <= i < len(row):
        raise IndexError(f"index of a node: expected less than {len(row)}, found {i}")
    row[i] = value
    return 0


def members(Container container, str path, rule, list visited, arrange=None, set seen=None):
    """The objects in a container with their paths, named as the writer named them; see ``rules.members``."""
    cdef dict used = {}
    cdef bint nested = rule.nested, count_visited = rule.count_visited
    cdef Py_ssize_t n
    cdef Node node
    cdef str cls, name, head = path + "/"
    if container.kind == "set" and (arrange is not None or not rule.sets):
        if rule.sets and arrange is not None:
            yield from arrange(container, path)
        return
    for item in container.items:
        node = None
        if isinstance(item, Node):
            node = item
            # What the reader skips the writer did not.
            if at(visited, node.index) and not node.skip and not count_visited:
                continue
            cls = node.cls
        elif nested:
            cls = "container"
        else:
            continue
        known = used.get(cls)
        n = 0 if known is None else <Py_ssize_t>known + 1
        used[cls] = n
        name = f"{head}{cls}_{n}" if n else head + cls
        if node is not None:
            yield node, name
        else:
            if seen is None:
                seen = {id(container)}
            if id(item) not in seen:
                seen.add(id(item))
                yield from members(item, name, rule, visited, arrange, seen)


def children(Node node, str path, rule, list visited, arrange=None):
    """Every object that a writer reaches from a node, with its path; see ``rules.children``."""
    cdef str prefix = path + "/" if path else "", name
    for name, child in rule.entries(node):
        if isinstance(child, Node):
            yield child, prefix + (rule.inner if name == "inner_optimizer" else name)
        else:
            yield from members(child, prefix + name, rule, visited, arrange)


@cython.final
cdef class Fit:
    """Places objects whose variables are stored under the keys, in the shapes and dtypes that they have.

    Args:
        groups: What is stored: object path → key → name.
        tensors: Tensor by name.
        special: Classes, in snake case, that need a closer look.
        optimizers: Whether optimizers need none.
        refusal: Says of a tensor and a leaf of different dtypes why one cannot be the other's value.
        paths, fits, order: Of the reading; filled here.

    Attributes:
        used: How many tensors have got a place here.
    """

    cdef dict groups
    cdef object tensors, special, refusal
    cdef list paths, fits, order
    cdef bint optimizers
    cdef readonly Py_ssize_t used

    def __init__(self, dict groups, tensors, special, bint optimizers, refusal, list paths, list fits, list order):
        self.groups, self.tensors, self.special, self.refusal = groups, tensors, special, refusal
        self.optimizers = optimizers
        self.paths, self.fits, self.order = paths, fits, order

    cpdef bint place(self, Node node, str path) except -1:
        """Place a node at a path if that is plain; else nothing is changed."""
        cdef Leaf leaf
        cdef Tensor tensor
        cdef dict group
        cdef list found
        if node.loads:
            if node.custom or (not self.optimizers and node.kind == "Optimizer") or node.cls in self.special:
                return False
            group = self.groups.get(path)
            if group is None:
                if node.leaves:
                    return False
            elif not node.leaves or (node.expects is not None and node.expects != len(group)):
                return False
            else:
                found = []
                for each in node.leaves:
                    leaf = each
                    name = group.get(leaf.key)
                    if name is None:
                        return False
                    tensor = self.tensors[name]
                    if tensor.shape != leaf.shape or tensor.problem is not None:
                        return False
                    if tensor.dtype_name != leaf.dtype and self.refusal(tensor, leaf):
                        return False
                    found.append(tensor)
                put(self.fits, node.index, found)
                self.used += len(group)
        put(self.paths, node.index, path)
        self.order.append(node)
        return True


def visit(Node root, list done, list paths, steps, attempt, set left_out, Py_ssize_t left, Fit fit=None):
    """Visit a model depth first; an object is done when it and everything below it has a place.

    Args:
        root: The model.
        done: By ``Node.index``: which need no visit; filled here.
        paths: By ``Node.index``: where a node has its place, or None.
        steps: Gives the children of a node at a path, with their paths.
        attempt: Tries to place a node at a path; says whether it has a place then.
        left_out: Paths of nodes to skip are added here.
        left: How many nodes with children may be visited: there may be more ways through the graph than anybody
            can go.
        fit: Is asked before ``attempt``.
    """
    cdef list active = [False] * len(done)
    cdef list owners = [None], ways = [iter([(root, "")])], whole = [True]
    cdef Node node, owner
    cdef Py_ssize_t i, top = 0
    cdef bint fits
    while top >= 0:
        step = next(ways[top], None)
        if step is None:
            ways.pop()
            owner = owners.pop()
            fits = whole.pop()
            top -= 1
            if owner is not None:
                i = owner.index
                put(active, i, False)
                fits = fits and at(paths, i) is not None
                put(done, i, fits)
                if not fits:
                    whole[top] = False
            continue
        node, path = step
        i = node.index
        if at(done, i) or at(active, i):
            if node.skip:
                left_out.add(path)
            continue
        fits = at(paths, i) is not None or (fit is not None and fit.place(node, path)) or attempt(node, path)
        if not node.entries or left < 0:
            put(done, i, fits)
            if not fits:
                whole[top] = False
            continue
        left -= 1
        put(active, i, True)
        owners.append(node)
        ways.append(steps(node, path))
        whole.append(True)
        top += 1


@cython.final
cdef class Pairs:
    """Tensors and the variables that they go to; a variable once, where it was named last.

    Attributes:
        twice: How many tensors gave way to a later one.
    """

    cdef list pairs
    cdef dict places                     # address of a live variable -> where its pair is
    cdef readonly Py_ssize_t twice

    def __cinit__(self):
        self.pairs, self.places = [], {}

    def add(self, list tensors, list leaves):
        """Pair a node's tensors with its leaves, one for one."""
        cdef Leaf leaf
        cdef Py_ssize_t i, n = len(leaves)
        if len(tensors) != n:
            raise ValueError(f"pairs: expected as many tensors as variables, found {len(tensors)} and {n}")
        for i in range(n):
            if len(leaves) != n or len(tensors) != n:
                raise RuntimeError("pairs: the lists changed while they were read")
            leaf = leaves[i]
            address = <size_t><void *>leaf.handle
            at = self.places.setdefault(address, len(self.pairs))
            if at != len(self.pairs):
                self.pairs[at] = None
                self.twice += 1
                self.places[address] = len(self.pairs)
            self.pairs.append((tensors[i], leaf))

    def listed(self):
        """``(tensor, leaf)`` in the order of the model."""
        return [pair for pair in self.pairs if pair is not None] if self.twice else self.pairs


def release(list pairs):
    """Let go of the files and the live variables that are paired, and of the objects that own these.

    Returns:
        The pairs again, with a ``TensorSpec`` in place of each tensor.
    """
    cdef Leaf leaf
    cdef Node node
    cdef list found = []
    for pair in pairs:
        tensor, leaf = pair
        found.append((spec_of(tensor), leaf))
        leaf.handle = None
        node = leaf.node
        # Whoever has let go already has none of these.
        if node is not None and (node.handle is not None or node.leaves or node.entries or node.after is not None):
            node.release()
    return found
