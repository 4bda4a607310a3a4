"""A live Keras 3 model as a Tree: the one module that knows Keras's insides.

Keras finds what it saves by walking ``dir(object)``.  ``tree`` finds the same objects in
the same order from what a class can contribute (worked out once a class) and the
instance's ``__dict__``, and never evaluates what cannot lead to a saveable.

Spec: ``keras/src/saving/saving_lib.py`` (``_walk_saveable``, ``_load_state``) and every
``load_own_variables`` of Keras 3.0.0 to 3.15.1.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from functools import cache, partial
from typing import Any
from weakref import WeakKeyDictionary

from kio.errors import MatchError, shown
from kio.keras_private import is_own
from kio.mapping.nodes import Barred, Kinds
from kio.mapping.selection import nearest
from kio.mapping.tree import Child, Container, Node, Stack, Tree
from kio.models.live import loading, optimizer_order
from kio.models.live.stack import stack_of

_PLAIN, _SAVEABLE, _LIST, _DICT, _SET = range(5)

# Properties of Keras's own classes that compute tensors, shapes or settings: they cannot
# return a saveable, and evaluating some of them is expensive (unpacking an int4 kernel).
_PURE_NAMES = """
activation attention_axes batch_shape bias_constraint bias_initializer bias_regularizer compiled_metrics
compute_dtype data_format dilation_rate distribute_reduction_method distribute_strategy dropout dtype
dtype_policy embeddings filters input input_dtype input_shape input_spec inputs iterations jit_compile kernel
kernel_constraint kernel_initializer kernel_regularizer kernel_size key_dim learning_rate losses metrics_names
metrics_variables name non_trainable_variables non_trainable_weights num_heads output output_dtype
output_shape output_size outputs padding path quantization_mode recurrent_activation recurrent_constraint
recurrent_dropout recurrent_initializer recurrent_regularizer reset_after run_eagerly state_size states
strides supports_masking thresholds torch_params trainable trainable_variables trainable_weights
unit_forget_bias units use_bias value_dim variable_dtype variable_serialization_spec variables weights
"""
_PURE = frozenset(_PURE_NAMES.split())

_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    classmethod,
    staticmethod,
    type,
)


@cache
def _saveable() -> Any:
    """The classes whose state Keras saves; before 3.0.5 they had no common base."""
    from kio.keras_private import KerasSaveable

    return KerasSaveable


@cache
def _skipset(kind: str) -> frozenset[str] | None:
    """Attributes that Keras never walks for objects of this kind; None: it walks none of them."""
    from kio.keras_private import get_attr_skipset

    try:
        return frozenset(get_attr_skipset(kind))
    except ValueError:
        return None


def _kind_of(obj: Any) -> str:
    """What decides how Keras walks an object: ``"Functional"``, ``"Layer"``, …"""
    if hasattr(obj, "_obj_type"):
        return str(obj._obj_type())
    import keras

    from kio.keras_private import Functional

    names = ("Layer", "Optimizer", "Metric", "Loss")
    classes = ((keras.Sequential, "Sequential"), (Functional, "Functional"), *zip(_saveable(), names, strict=True))
    return next(name for cls, name in classes if isinstance(obj, cls))


class _Class:
    """What every instance of one class has in common.

    Attributes:
        cls: Class name in snake case.
        kind: As ``_kind_of``.
        skip: Attributes that are not walked.
        evaluate: Class attributes that each instance must be asked for.
        barred: Attributes of an instance's ``__dict__`` that are not walked: class attributes win over some.
        listed: Instances list their attributes themselves, so ``dir`` must be asked.
        modules: Instances are torch modules, with attributes outside ``__dict__``.
        loader: Describes an instance's own variables.
    """

    __slots__ = (
        "assets", "barred", "cls", "evaluate", "kind", "listed", "loader", "modules", "skip",
    )  # fmt: skip

    def __init__(self, obj: Any) -> None:
        from kio.keras_private import to_snake_case

        cls = type(obj)
        self.cls: str = to_snake_case(cls.__name__)
        self.kind = _kind_of(obj)
        skip = _skipset(self.kind)
        self.skip = frozenset(dir(obj)) if skip is None else skip
        self.loader = loading.loader_of(cls)
        self.assets = hasattr(cls, "load_assets")
        own_dir: Any = cls.__dir__
        own_get: Any = cls.__getattribute__
        self.modules = getattr(own_dir, "__module__", None) == "torch.nn.modules.module"
        self.listed = own_get is not object.__getattribute__ or not (self.modules or own_dir is object.__dir__)
        self.evaluate: list[str] = []
        shadowed = set()
        for name in dir(cls):
            if name.startswith("__") or name in self.skip:
                continue
            raw = next(base.__dict__[name] for base in cls.__mro__ if name in base.__dict__)
            if isinstance(raw, _FUNCTIONS):
                continue
            if isinstance(raw, property):
                shadowed.add(name)
                if not _is_pure(name, raw):
                    self.evaluate.append(name)
            elif hasattr(type(raw), "__get__"):
                if hasattr(type(raw), "__set__"):
                    shadowed.add(name)
                self.evaluate.append(name)
            elif _code_of(raw):
                self.evaluate.append(name)
        self.barred = Barred(self.skip | shadowed)


def _is_pure(name: str, raw: property) -> bool:
    return name in _PURE and is_own(raw.fget)


# Weakly: a notebook makes many classes of one name.
_classes: WeakKeyDictionary[type, _Class] = WeakKeyDictionary()


def _code_of(value: Any) -> int:
    """Whether a value is saveable, which kind of container, or neither."""
    if isinstance(value, _saveable()):
        return _SAVEABLE
    if isinstance(value, dict):
        return _DICT
    if isinstance(value, (list, tuple)):
        return _LIST
    return _SET if isinstance(value, set) else _PLAIN


class _Walk:
    """One walk over the object graph of a model."""

    def __init__(self, skipped: Iterable[Any]) -> None:
        self.codes = Kinds(_code_of)
        self.nodes: list[Node] = []
        self.by_id: dict[int, Node] = {}
        self.containers: dict[int, Container | None] = {}
        self.keep: list[Any] = []  # what properties returned: an id must not come back
        self.skipped = {id(obj) for obj in skipped}
        self.infos: dict[type, _Class] = {}

    def run(self, root: Any) -> list[Node]:
        self.node(root)
        done = 0
        while done < len(self.nodes):
            node = self.nodes[done]
            done += 1
            if not node.skip:
                self.fill(node)
        return self.nodes

    def node(self, obj: Any) -> Node:
        node = self.by_id.get(id(obj))
        if node is not None:
            return node
        cls = type(obj)
        info = self.infos.get(cls)
        if info is None:
            info = _classes.get(cls)
            if info is None:
                info = _classes[cls] = _Class(obj)
            self.infos[cls] = info
        name = getattr(obj, "name", None)
        node = Node(len(self.nodes), info.cls, info.kind, str(name) if isinstance(name, str) else None, obj)
        self.nodes.append(node)
        self.by_id[id(obj)] = node
        if id(obj) in self.skipped:
            node.skip = True
        else:
            node.assets = info.assets
            if info.loader is not None:
                node.loads = True
                info.loader(obj, node)
        return node

    def fill(self, node: Node) -> None:
        """Find the children of a node: the walk of Keras, without asking for every attribute."""
        obj = node.handle
        info = self.infos[type(obj)]
        if info.listed:
            self.fill_listed(node, obj, info)
            return
        codes, table = self.codes, obj.__dict__
        found = codes.leading(table, info.barred)
        if info.modules:
            for inner in (table["_parameters"], table["_modules"], table["_buffers"]):
                if inner:
                    found += codes.leading(inner, info.barred, False)
        for name in info.evaluate:
            try:
                value = getattr(obj, name)
            except Exception:  # a property that raises leads nowhere, as for Keras
                continue
            if codes.of(value):
                self.keep.append(value)
                found.append((name, value))
        if found:
            self.enter(node, found)

    def fill_listed(self, node: Node, obj: Any, info: _Class) -> None:
        """The same by asking for every attribute, as Keras does."""
        found = []
        for name in dir(obj):
            if name.startswith("__") or name in info.skip:
                continue
            try:
                value = getattr(obj, name)
            except Exception:  # a property that raises leads nowhere, as for Keras
                continue
            if self.codes.of(value):
                self.keep.append(value)
                found.append((name, value))
        self.enter(node, found)

    def enter(self, node: Node, found: list[tuple[str, Any]]) -> None:
        entries: dict[str, Child] = {}
        for name, value in found:
            child = self.child(value)
            if isinstance(child, Node) or (child is not None and _leads_to_node(child)):
                entries.setdefault(name, child)
        node.entries = list(entries.items())
        if len(node.entries) > 1:
            # Private names last, as Keras orders them since 3.0.2.
            node.entries.sort(key=lambda e: "~" + e[0] if e[0].startswith("_") else e[0])

    def child(self, value: Any) -> Child | None:
        code = self.codes.of(value)
        if code == _SAVEABLE:
            return self.node(value)
        return self.container(value, code) if code else None

    def container(self, value: Any, code: int) -> Container | None:
        """The container, or None where nothing in it is saveable or a container."""
        known = self.containers.get(id(value), self)
        if known is not self:
            return known  # type: ignore[return-value]
        codes = self.codes
        items = list(value.values() if code == _DICT else value)
        if codes.plain(items):
            self.containers[id(value)] = None
            self.keep.append(value)
            return None
        kind = "dict" if code == _DICT else "set" if code == _SET else "list"
        made = Container(kind)
        self.containers[id(value)] = made
        self.keep.append(value)
        for item in items:
            code = codes.of(item)
            if code == _SAVEABLE:
                made.items.append(self.node(item))
            elif code:
                made.items.append(self.container(item, code) or Container("list"))
        return made


def _leads_to_node(container: Container) -> bool:
    todo, seen = [container], {id(container)}
    while todo:
        for item in todo.pop().items:
            if isinstance(item, Node):
                return True
            if id(item) not in seen:
                seen.add(id(item))
                todo.append(item)
    return False


def _check_parts(model: Any, objects: Iterable[Any]) -> None:
    """Refuse objects that are no part of a model, whatever else is skipped."""
    everything = _Walk(())
    everything.run(model)
    for obj in objects:
        if id(obj) not in everything.by_id:
            name = str(getattr(obj, "name", None) or obj)
            near = nearest(name, [node.name for node in everything.nodes if node.name])
            raise MatchError(
                f"objects_to_skip: expected parts of {getattr(model, 'name', 'the model')}, found "
                f"{type(obj).__name__} {shown(name)}, which is none; {near}"
            )


def tree(model: Any, objects_to_skip: Iterable[Any] = ()) -> Tree:
    """Describe a live model.

    Args:
        model: Any Keras saveable, normally a ``keras.Model``.
        objects_to_skip: Layers to leave as they are, as in ``keras.saving.load_weights``.

    Returns:
        The tree; no variable's value is touched.

    Raises:
        MatchError: if an object to skip is no part of the model.

    Memory: O(objects + variables), about 300 bytes each.
    """
    import keras

    backend = keras.backend.backend()
    skipped = list(objects_to_skip)
    walk = _Walk(skipped)
    made = Tree(walk.run(model), f"Keras {keras.__version__} ({backend})")
    if any(id(obj) not in walk.by_id for obj in skipped):
        _check_parts(model, skipped)

    def stack() -> Stack:
        return stack_of(model, walk.node, {id(leaf.handle): leaf for leaf in made.leaves})

    def unskipped() -> Tree:
        full = tree(model)
        kept = {id(node.handle) for node in made.nodes if not node.skip}
        full.apart = frozenset(node.index for node in full.nodes if id(node.handle) not in kept)
        return full

    made.stack = stack
    made.unskipped = unskipped
    made.order_of = partial(optimizer_order.rekey, made)
    made.name_sums = partial(optimizer_order.rename, made)
    return made
