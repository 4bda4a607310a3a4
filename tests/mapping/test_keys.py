"""The compiled loops of mapping against plain Python, on random trees and names, and under hostile ones."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kio.mapping import keras_paths
from kio.mapping.keras3.reading import Options, Reading
from kio.mapping.keras3.rules import RULES, walk
from kio.mapping.keys import Fit, Pairs, children, grouped, members, visit
from kio.mapping.nodes import Barred, Kinds, describe
from kio.mapping.selection import Chooser, Renamer
from kio.mapping.stored import Stored
from kio.mapping.tree import Container, Leaf, Node, Tree
from kio.raw.tensor import Tensor
from tests.clock import worked_less_than
from tests.mapping import twin
from tests.mapping.make import Build, FakeCheckpoint

PARTS = [
    "",
    "vars",
    "layers",
    "a",
    "dense",
    "dense_1",
    "é",
    "名前",
    "𝛼",
    "0",
    "10",
    ".",
    "..",
    "\\",
    "vars/",
    "x" * 300,
]


def random_name(rng: random.Random) -> str:
    parts = [rng.choice(PARTS) for _ in range(rng.randrange(7))]
    if rng.random() < 0.6:
        parts += ["vars", str(rng.randrange(12))]
    return rng.choice(["/", "/", "/", "\\"]).join(parts)


@pytest.mark.parametrize("seed", range(20))
def test_grouped(seed: int) -> None:
    rng = random.Random(seed)
    names = [random_name(rng) for _ in range(500)]
    for backslashes in (False, True):
        mine, plain = grouped(names, backslashes), twin.grouped(names, backslashes)
        assert mine == plain
        # The order of the file, in groups and in what each holds.
        assert [list(group.items()) for group in mine[0].values()] == [list(g.items()) for g in plain[0].values()]


def test_grouped_by_hand() -> None:
    names = ["vars/0", "a/vars/0", "a/vars/1", "a/b/vars/x/y", "/vars/0", "a/vars", "vars/vars/0", "a/vars/vars/0", "v"]
    groups, loose = grouped(names)
    assert groups == {
        "": {"0": "vars/0"},
        "a": {"0": "a/vars/0", "1": "a/vars/1"},
        "a/b": {"x/y": "a/b/vars/x/y"},
        "vars": {"0": "vars/vars/0"},
        "a/vars": {"0": "a/vars/vars/0"},
    }
    assert loose == ["/vars/0", "a/vars", "v"]
    for wrong in ([b"a"], [None], [1]):
        with pytest.raises((TypeError, AttributeError)):
            grouped(wrong)  # type: ignore[arg-type]


CLASSES = ["dense", "lstm_cell", "add", "functional", "dense"]


def random_tree(rng: random.Random) -> Tree:
    """Nodes that share children, hang in cycles, in lists of lists, in sets; skipped, custom and unbuilt ones."""
    build = Build()
    nodes: list[Node] = []
    for i in range(rng.randrange(1, 25)):
        shapes = [tuple(rng.choice([1, 2, 3]) for _ in range(rng.randrange(3))) for _ in range(rng.randrange(4))]
        kind = rng.choice(["Layer", "Layer", "Layer", "Functional", "Sequential", "Optimizer", "Metric"])
        node = build.node(rng.choice(CLASSES), rng.choice([None, f"n{i}", "dense_1"]), shapes, kind)
        node.skip = rng.random() < 0.05
        node.custom = rng.random() < 0.1
        if rng.random() < 0.2:
            node.expects = rng.choice([None, 0, 1, 3])
        nodes.append(node)
    for node in nodes:
        entries: dict[str, Any] = {}
        for _ in range(rng.randrange(4)):
            name = rng.choice(["layers", "_a", "b", "cell", "inner_optimizer", "Z", "é"])
            entries[name] = rng.choice([rng.choice(nodes), random_container(rng, nodes, 3)])
        node.entries = sorted(entries.items(), key=lambda e: "~" + e[0] if e[0].startswith("_") else e[0])
    if rng.random() < 0.3 and nodes[-1].leaves and nodes[0].leaves:
        nodes[-1].leaves[0].handle = nodes[0].leaves[0].handle
    return build.tree(nodes[0])


def random_container(rng: random.Random, nodes: list[Node], depth: int) -> Container:
    made = Container(rng.choice(["list", "dict", "set", "list"]))
    for _ in range(rng.randrange(5)):
        inner = depth and rng.random() < 0.25
        made.items.append(random_container(rng, nodes, depth - 1) if inner else rng.choice(nodes))
    if depth == 3 and rng.random() < 0.1:
        made.items.append(made)
    return made


def random_file(rng: random.Random, tree: Tree) -> Stored:
    """What some writer would have made of the tree, and then damaged."""
    rule = rng.choice(RULES)
    arrays: dict[str, Any] = {}
    for leaf, name in keras_paths.names(tree, rule).items():
        if rng.random() < 0.95:
            shape = leaf.shape if rng.random() < 0.95 else (*leaf.shape, 2)
            arrays[name] = np.zeros(shape, rng.choice(["float32"] * 12 + ["float16", "complex64"]))
    for _ in range(rng.randrange(3)):
        arrays.setdefault(random_name(rng) or "x", np.zeros(2, "f4"))
    return Stored(FakeCheckpoint(arrays))


def said(reading: Reading) -> Any:
    """All that a reading says, by what it is called."""
    return (
        reading.paths,
        [[tensor.name for tensor in fits] for fits in reading.fits],
        reading.tried,
        [node.index for node in reading.order],
        reading.used,
        reading.left_out,
        [node.index for node in reading.failed],
        {i: [leaf.key for leaf in leaves] for i, leaves in reading.kept.items()},
        reading.moved,
        {leaf.path for leaf in reading.remade},
    )


@pytest.mark.parametrize("seed", range(150))
def test_readings_of_random_trees(seed: int) -> None:
    rng = random.Random(seed)
    tree = random_tree(rng)
    stored = random_file(rng, tree)
    ways = [Options(), Options(whole=True), Options(Chooser("*n1*", None)), Options(None, Renamer({"layers": "b"}))]
    for rule in RULES:
        for options in ways:
            assert said(Reading(tree, rule, stored, options)) == said(twin.PlainReading(tree, rule, stored, options))


@pytest.mark.parametrize("seed", range(60))
def test_walks_of_random_trees(seed: int) -> None:
    rng = random.Random(seed)
    tree = random_tree(rng)
    for rule in RULES:
        visited = [rng.random() < 0.3 for _ in tree.nodes]
        for node in tree.nodes:
            for path in ("", "a/é"):
                mine = [(n.index, p) for n, p in children(node, path, rule, visited)]
                assert mine == [(n.index, p) for n, p in twin.children(node, path, rule, visited)]
        assert len(list(walk(tree, rule))) <= len(tree.nodes)


@pytest.mark.parametrize("seed", range(30))
def test_pairs(seed: int) -> None:
    rng = random.Random(seed)
    node = Node(0, "dense", "Layer", "a")
    handles = [object() for _ in range(rng.randrange(1, 9))]
    rows = []
    for r in range(rng.randrange(6)):
        leaves = [
            Leaf(str(i), f"{r}/{i}", "v", (), "float32", rng.choice(handles), node) for i in range(rng.randrange(4))
        ]
        rows.append(([Tensor(leaf.path, "float32", (), problem="none") for leaf in leaves], leaves))
    pairs = Pairs()
    for tensors, leaves in rows:
        pairs.add(tensors, leaves)
    assert (pairs.listed(), pairs.twice) == twin.paired(rows)
    with pytest.raises(ValueError, match="as many tensors"):
        pairs.add([], [Leaf("0", "p", "v", (), "float32", None, node)])


class Odd(type):
    """A class that answers questions about itself as it likes."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return False


class Strange(metaclass=Odd):
    pass


@pytest.mark.parametrize("seed", range(30))
def test_leading(seed: int) -> None:
    rng = random.Random(seed)
    values: list[Callable[[], Any]] = [int, list, dict, object, Strange, tuple, lambda: type("New", (), {})()]
    kind_of = {int: 0, list: 2, dict: 3, object: 1, Strange: 0, tuple: 2}

    def kind(value: Any) -> int:
        return kind_of.get(type(value), 1)

    kinds = Kinds(kind)
    barred = frozenset(rng.sample(["a", "b", "c", "_d", "é"], 2))
    names = Barred(barred)
    for _ in range(40):
        keys = [rng.choice(["a", "b", "c", "_d", "__e", "é", "0x", "", "9", 5]) for _ in range(rng.randrange(12))]
        table = {(key if rng.random() < 0.5 else copy.copy(key)): rng.choice(values)() for key in keys}
        for numbered in (True, False):
            assert kinds.leading(table, names, numbered) == twin.leading(table, kind, barred, numbered)
        assert not kinds.plain(table.values()) or not any(map(kind, table.values()))


def test_whoever_is_asked_may_change_the_table() -> None:
    table: dict[str, Any] = {f"x{i}": type(f"C{i}", (), {})() for i in range(50)}

    def kind(value: Any) -> int:
        table.pop(next(iter(table)), None) if len(table) > 10 else None
        gc.collect()
        return 1

    found = Kinds(kind).leading(table, Barred())
    assert found == list(table.items())
    with pytest.raises(ValueError, match="0 or more"):
        Kinds(lambda value: -3).of(1)


class Variable:
    def __init__(self, path: Any = "a/v", name: Any = "v", shape: Any = (2,), dtype: Any = "float32") -> None:
        self._path, self._name, self._shape, self._dtype = path, name, shape, dtype


PRIVATE = ("_path", "_name", "_shape", "_dtype")


def test_describe() -> None:
    node = Node(0, "dense", "Layer", "a")
    variables = [Variable(), Variable("é/w", "w", (), "bool"), Variable()]
    describe(node, variables, ("0", "1"), PRIVATE)
    assert [leaf.key for leaf in node.leaves] == ["0", "1", "2"]
    assert [(leaf.path, leaf.name, leaf.shape, leaf.dtype) for leaf in node.leaves[:2]] == [
        ("a/v", "v", (2,), "float32"),
        ("é/w", "w", (), "bool"),
    ]
    assert all(leaf.handle is v and leaf.node is node for leaf, v in zip(node.leaves, variables, strict=True))
    before = node.leaves
    for wrong in (Variable(1), Variable("p", None), Variable("p", "n", [2]), Variable("p", "n", (), 5), object()):
        with pytest.raises((TypeError, AttributeError)):
            describe(node, [variables[0], wrong], ("0", "1"), PRIVATE)
        assert node.leaves is before
    with pytest.raises(TypeError):
        describe(node, variables, (0, 1), PRIVATE)  # type: ignore[arg-type]


def test_nothing_ends_the_process() -> None:
    """Indices, lists and states as nobody would set them."""
    node = Node(5, "dense", "Layer", "a")
    child = Node(-3, "dense", "Layer", "b")
    node.entries = [("x", child)]
    tensors: dict[str, Tensor] = {}
    row: list[Any] = [None]
    fit = Fit({}, tensors, (), True, lambda t, leaf: "", row, [[]], [])
    for bad in (node, child):
        with pytest.raises(IndexError):
            fit.place(bad, "a")
        with pytest.raises(IndexError):
            visit(bad, [False], row, lambda n, p: iter(()), lambda n, p: False, set(), 5)
        with pytest.raises(IndexError):
            list(members(Container("list", [bad]), "a", RULES[6], [False]))
    done = [False, False]
    nodes = [Node(i, "dense", "Layer", "a") for i in range(2)]
    nodes[0].entries = [("x", nodes[1])]
    with pytest.raises(IndexError):
        visit(nodes[0], done, [None, None], lambda n, p: iter([(nodes[1], "x")]), lambda n, p: done.clear(), set(), 5)  # type: ignore[func-returns-value]
    for cls in (Leaf, Node, Container, Fit, Pairs, Kinds, Barred):
        made: Any = cls.__new__(cls)
        for look in (repr, hash, gc.get_referents, lambda o: o == 1):
            look(made)
    bare: Any = Leaf.__new__(Leaf)
    for attribute in ("key", "shape", "node"):
        with pytest.raises(TypeError):
            setattr(bare, attribute, 5)
        setattr(bare, attribute, None)
    node = Node(0, "dense", "Layer", "a")
    node.leaves = [bare, 5]  # type: ignore[list-item]
    node.loads = True
    assert not Fit({"a": {}}, tensors, (), True, lambda t, leaf: "", [None], [[]], []).place(node, "a")
    node.expects = None
    with pytest.raises((TypeError, AttributeError)):
        Fit({"a": {None: "x"}}, {"x": 5}, (), True, lambda t, leaf: "", [None], [[]], []).place(node, "a")  # type: ignore[dict-item]
    with pytest.raises((TypeError, AttributeError)):
        Fit.__new__(Fit).place(node, "a")
    with pytest.raises(TypeError):
        bare.__setstate__((1,) * 7)


def test_nodes_travel() -> None:
    """Leaves and nodes lead to each other, from whichever end one begins."""
    node = Node(3, "dense", "Layer", "a")
    node.leaves = [Leaf(str(i), f"a/{i}", "v", (i,), "float32", None, node) for i in range(3)]
    node.entries = [("me", node), ("list", Container("list", [node]))]
    node.expects, node.rivals, node.built = 3, frozenset({"x"}), False
    for protocol in (2, 3, 4, 5):
        for make in (lambda o, p=protocol: pickle.loads(pickle.dumps(o, p)), copy.deepcopy):
            leaf = make(node.leaves[1])
            assert leaf.node.leaves[1] is leaf and leaf.node.entries[0][1] is leaf.node
            made = make(node)
            assert [each.node is made for each in made.leaves] == [True] * 3 and made.leaves[2].shape == (2,)
            assert (made.index, made.cls, made.kind, made.name) == (3, "dense", "Layer", "a")
            assert (made.expects, made.rivals, made.built, made.skip) == (3, frozenset({"x"}), False, False)
            assert made.entries[1][1].items == [made] and made.entries[1][1].kind == "list"


HOSTILE: dict[str, Callable[[int], list[str]]] = {
    "many parts": lambda n: [f"{'vars/' * 40}{i}" for i in range(n)],
    "one object": lambda n: [f"a/vars/{i}" for i in range(n)],
    "no object": lambda n: [f"a/var/{i}" for i in range(n)],
    "turns": lambda n: [f"{'ab'[i % 2] * 60}/vars/{i}" for i in range(n)],
    "near misses": lambda n: [f"{'/var' * 60}/{i}" for i in range(n)],
    "wide": lambda n: [f"é名𝛼{i}/vars/0" for i in range(n)],
    "backslashes": lambda n: ["x\\" * 40 + f"vars\\{i}" for i in range(n)],
}


@pytest.mark.parametrize("names", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hundred_thousand_hostile_names(names: Callable[[int], list[str]]) -> None:
    """Time goes with the number of names."""
    given = names(100_000)
    with worked_less_than(2):
        found = grouped(given, True)
    assert found == twin.grouped(given, True)


def test_one_name_of_a_hundred_thousand_parts() -> None:
    name = "vars/" * 100_000
    with worked_less_than(2):
        for _ in range(20):
            grouped([name, name + "0", name[:-1], "/vars" * 100_000])


@pytest.mark.parametrize("shape", ["list of one class", "list in list", "shared", "chain", "crossing"])
def test_a_hundred_thousand_nodes(shape: str) -> None:
    """Reading of a tree that is as wide, as deep or as entangled as they come."""
    n = 100_000 if shape != "chain" else 20_000
    root = Node(0, "functional", "Functional", "m")
    nodes = [root] + [Node(i, "dense", "Layer", f"d{i}") for i in range(1, n)]
    for node in nodes[1:]:
        node.loads = True
    if shape == "chain":
        for a, b in itertools.pairwise(nodes):
            a.entries = [("next", b)]
    elif shape == "list in list":
        inner = Container("list", nodes[1:])
        for _ in range(200):
            inner = Container("list", [inner])
        root.entries = [("layers", inner)]
    elif shape == "shared":
        root.entries = [(f"a{i}", Container("list", nodes[1 : n // 20])) for i in range(20)]
    elif shape == "crossing":
        # Two owners of each other's members: as many ways as there are subsets.
        for i in range(1, 200):
            nodes[i].entries = [("x", Container("list", nodes[i + 1 : i + 4])), ("y", nodes[i + 1])]
        root.entries = [("layers", Container("list", nodes[1:]))]
    else:
        root.entries = [("layers", Container("list", nodes[1:]))]
    tree = Tree(nodes)
    stored = Stored(FakeCheckpoint({"x": np.zeros(1, "f4")}))
    with worked_less_than(4):
        reading = Reading(tree, RULES[0], stored)
    assert reading.used == 0 and reading.paths[1] is not None
