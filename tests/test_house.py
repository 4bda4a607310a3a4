"""The rules of the house: what may import what, and what must exist.

Each test is one rule; its name says which.  A rule that stands in the way is changed here,
in the open, with its reason, or not at all.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest

from kio.limits import Limits

ROOT = Path(__file__).parents[1]
KIO = ROOT / "kio"

# Lower floors never import higher ones.  What is not listed is the front door.
# keras_private imports Keras when the first name is asked for: everybody may stand on it.
GROUND = ("errors", "limits", "dtypes", "optional", "plugins", "keras_private")
# Layers that Keras dropped are Keras code: the upgrader asks for them, users import them.
FLOORS = {**dict.fromkeys(GROUND, 0), "raw": 1, "containers": 2, "checkpoint": 3, "contents": 3}
# Operations stand on Keras and the ground alone; layers and models ask for them.
FLOORS |= {"ops": 2, "formats": 4, "mapping": 4, "models": 5, "layers": 5}
FRONT = 6
# The same within rooms: parts of one floor do not see each other.  What is not listed is above all of them.
INSIDE = {"kio.models.allowlist": 0, "kio.models.memory": 1, "kio.models.eras": 1}
INSIDE |= {"kio.models.builder": 2, "kio.models.live": 2, "kio.models.store": 3}
INSIDE |= {"kio.mapping.h5": 1, "kio.mapping.keras3": 1}

PYTHON = sorted(path for path in KIO.rglob("*.py"))
CYTHON = sorted(path for suffix in ("pyx", "pxd") for path in KIO.rglob(f"*.{suffix}"))
TYPED = sorted(KIO.rglob("*.pyi"))


def shown(path):
    return str(path.relative_to(ROOT))


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def floor_of(module):
    parts = module.split(".")
    return FLOORS.get(parts[1], FRONT) if len(parts) > 1 else FRONT


def nodes(path):
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def code(path):
    """The text of a Cython file without comments and strings, line for line."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'""".*?"""', lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    text = re.sub(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", "''", text)
    return re.sub(r"#[^\n]*", "", text)


def imports(path):
    """Every module that a file imports or cimports, wherever in the file."""
    if path.suffix in (".py", ".pyi"):
        for node in nodes(path):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{shown(path)}: relative import"
                yield node.module
                yield from (f"{node.module}.{name.name}" for name in node.names)
        return
    for module, names in re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s*\(?([^)\n]*)", code(path), re.M):
        yield module
        yield from (f"{module}.{name}" for name in re.findall(r"\w+", names))
    yield from re.findall(r"^\s*c?import\s+([\w.]+)", code(path), re.M)


@pytest.mark.parametrize("path", PYTHON + CYTHON + TYPED, ids=shown)
def test_1_imports_only_go_down_and_2_the_wings_do_not_meet(path):
    me = module_of(path)
    for name in imports(path):
        if not name.startswith("kio.") or floor_of(me) == FRONT:
            continue
        assert floor_of(name) <= floor_of(me), f"{me} reaches up to {name}"
        assert {me.split(".")[1], name.split(".")[1]} != {"formats", "mapping"}, f"{me} crosses to {name}"


def part_of(module):
    """The room of models or mapping that a module is in: ``kio.models.live`` of ``kio.models.live.walk``."""
    return ".".join(module.split(".")[:3])


@pytest.mark.parametrize("path", PYTHON, ids=shown)
def test_1_inside_the_rooms_too(path):
    me = part_of(module_of(path))
    for name in imports(path):
        other = part_of(name)
        if me in INSIDE and other in INSIDE and other != me:
            assert INSIDE[other] < INSIDE[me], f"{module_of(path)} reaches over to {name}"
        # Whatever has no floor of its own is a front: of models, of mapping.
        front = name.count(".") >= 2 and name.startswith("kio.models.") and other not in INSIDE
        assert not (me in INSIDE and me.startswith("kio.models.") and front), f"{module_of(path)} reaches up to {name}"


def test_1_no_circles():
    """Whom a module imports, at its head or in a function, does not come back to it."""
    modules = {module_of(path): path for path in [*PYTHON, *CYTHON] if path.suffix != ".pxd"}
    graph = {name: {other for other in known(path, modules) if other != name} for name, path in modules.items()}
    done = set()

    def visit(name, way):
        assert name not in way, "a circle: " + " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, [*way, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def known(path, modules):
    """The modules among these that a file imports when it runs; a name of a package is that package's."""
    if path.suffix == ".py":
        tree = ast.parse(path.read_text(encoding="utf-8"))
        typing = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        found = [
            node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in typing
        ]
        names = [(node.module, name.name) for node in found if isinstance(node, ast.ImportFrom) for name in node.names]
        names += [(name.name, "") for node in found if isinstance(node, ast.Import) for name in node.names]
    else:
        names = [
            (module, name.split()[0])
            for module, listed in re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s*\(?([^)\n]*)", code(path), re.M)
            for name in listed.split(",")
            if name.strip()
        ]
    for module, name in names:
        full = f"{module}.{name}"
        if full in modules or module in modules:
            yield full if full in modules else module


# The demo shows both sides.
KNOW_KERAS = ("kio.models.", "kio.layers", "kio.ops", "kio.saving", "kio.callbacks", "kio.demo")
# The one module that knows where Keras keeps its private names, so that a new Keras changes one file.
PRIVATE = "kio.keras_private"


@pytest.mark.parametrize("path", PYTHON + CYTHON, ids=shown)
def test_3_frameworks_are_known_upstairs_only(path):
    me = module_of(path)
    for name in imports(path):
        top = name.split(".")[0]
        if top == "keras":
            assert me.startswith((*KNOW_KERAS, PRIVATE)), f"{me} imports {name}"
            assert me == PRIVATE or name.split(".")[1:2] not in (["src"], ["_tf_keras"]), f"{me} imports {name}"
        if top in ("tensorflow", "torch", "jax", "jaxlib"):
            assert me.startswith(("kio.models.", "kio.demo")), f"{me} imports {name}"
        assert top != "tf_keras"


def texts(path):
    """Every string of a file, without its docstrings."""
    if path.suffix != ".py":
        text = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.S)
        yield from re.findall(r"'[^'\n]*'|\"[^\"\n]*\"", text)
        return
    every = list(nodes(path))
    said = {id(node.value) for node in every if isinstance(node, ast.Expr)}
    yield from (node.value for node in every if isinstance(node, ast.Constant) and id(node) not in said)


@pytest.mark.parametrize("path", PYTHON + CYTHON, ids=shown)
def test_3_keras_src_is_named_in_one_module(path):
    """Neither import_module nor sys.modules is a way around: the text itself is in one file."""
    named = [text for text in texts(path) if isinstance(text, str) and re.search(r"\bkeras\.src\b", text)]
    assert module_of(path) == PRIVATE or not named, f"use kio/keras_private.py: {named}"


def test_4_csrc_has_one_door():
    doors = [path for path in CYTHON if re.search(r'extern from "kio\.h"', path.read_text(encoding="utf-8"))]
    assert doors == [KIO / "raw" / "kernels.pyx"]


def test_5_csrc_knows_no_python_allocates_nothing_and_opens_nothing():
    words = r"Python\.h|PyObject|\b(m|c|re)alloc\s*\(|\bfree\s*\(|\bf?open\s*\(|\bp?read\s*\(|<stdio\.h>"
    for path in sorted((ROOT / "csrc").rglob("*.[ch]")):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.S)
        assert not re.search(words, text), shown(path)


def test_6_every_compiled_module_is_typed():
    for path in KIO.rglob("*.pyx"):
        assert path.with_suffix(".pyi").exists(), f"{shown(path)} has no .pyi"
    for path in TYPED:
        assert path.with_suffix(".pyx").exists(), f"{shown(path)} has no .pyx"
    assert (KIO / "py.typed").exists()


def test_7_every_format_and_every_layout_is_registered():
    from kio.formats import ORDER, formats
    from kio.mapping import LAYOUTS

    files = {path.stem for path in (KIO / "formats").glob("*.py")} - {"__init__", "format", "probe", "target"}
    assert files == set(ORDER) and [each.name for each in formats()] == list(ORDER)

    def defines(path, function):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        return any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)

    matching = {path.stem for path in (KIO / "mapping").glob("[!_]*.py") if defines(path, "match")}
    assert matching == set(LAYOUTS)


def test_7_every_format_says_what_it_can_do():
    from kio.formats import formats, suffixes
    from kio.mapping import LAYOUTS

    for each in formats():
        assert bool(each.create) == bool(each.writes) == bool(each.holds) == bool(each.suffixes), each.name
        assert each.layout in LAYOUTS, each.name
        assert {"weights", "model"} & set(each.holds) or not each.create, each.name
    ends = [suffix for suffix, _ in suffixes()]
    assert len(set(ends)) == len(ends)
    for i, suffix in enumerate(ends):
        assert not any(suffix.endswith(earlier) for earlier in ends[:i]), f"{suffix} is never reached"


# What the front door writes where nothing names a format, and backups of a training.
DEFAULTS = {KIO / "writing.py": {"keras_archive", "keras_weights"}}


@pytest.mark.parametrize("path", PYTHON, ids=shown)
def test_7_a_format_is_named_in_its_module_only(path):
    """What a format can do is asked of it, and stands in no table of names."""
    from kio.formats import ORDER

    if path.parent.name != "formats":
        named = {text for text in texts(path) if isinstance(text, str)} & {*ORDER} - {"refused"}
        assert named <= DEFAULTS.get(path, set()), shown(path)


def test_7_every_layout_has_the_same_contract():
    """What reads or writes by a layout asks for its name and nothing else."""
    from kio.mapping import LAYOUTS

    for name in LAYOUTS:
        layout = import_module(f"kio.mapping.{name}")
        assert list(inspect.signature(layout.match).parameters) == ["checkpoint", "tree", "selection"], name
        assert next(iter(inspect.signature(layout.names).parameters)) == "tree", name
        assert isinstance(layout.BACKENDS, tuple), name


def test_7_every_layout_has_a_writer_with_the_same_contract():
    """Read, not imported: writers need Keras."""
    from kio.mapping import LAYOUTS

    for name in LAYOUTS:
        path = KIO / "models" / "store" / f"{name}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
        fill = [each.arg for each in [*own["fill"].args, *own["fill"].kwonlyargs]]
        assert fill == ["made", "model", "tree", "version", "skipped", "whole"], name
        bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        bound |= {each.name for node in tree.body if isinstance(node, ast.ImportFrom) for each in node.names} | {*own}
        assert {"describe", "OF_TF_KERAS"} <= bound, name


def test_7_long_lists_of_arguments_end_at_the_front_door():
    """What a user asked for travels as Selection, Reading and Options."""
    for path in PYTHON:
        if path.parts[len(KIO.parts)] not in ("raw", "containers", "formats", "mapping", "models"):
            continue
        for node in nodes(path):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                n = len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs])
                assert n <= 9, f"{shown(path)}: {node.name} takes {n} arguments"


def test_8_every_format_has_a_corpus():
    from kio.formats import ORDER

    for name in ORDER:
        folder = ROOT / "tests" / "corpus" / name
        assert (folder / "make.py").exists(), f"{name} has no corpus"
        assert list(folder.glob("*/expected.json")), f"{name} has no case"
    for path in (ROOT / "tests" / "corpus").rglob("*.py"):
        assert not any(name.split(".")[0] == "kio" for name in imports(path)), f"{shown(path)} imports kio"


# In raw/, source.pyx owns the memory that Image lends and transfer.pyx moves payload.
# Everybody else has a Cursor.
def test_9_bytes_are_read_in_one_room_and_untrusted_pointers_in_one_file():
    for path in PYTHON + CYTHON:
        if path.parent.name == "raw":
            continue
        # Source.fill can be seen from Cython only.
        words = r"np\.fromfile|np\.memmap|mmap\.mmap\(" + (r"|\.fill\(|kio_pread" if path in CYTHON else "")
        assert not re.search(words, path.read_text(encoding="utf-8")), shown(path)
        if path in CYTHON:
            assert not re.search(r"\b(c|cursor|image)\.base\b|(?<!kio\.raw)\.memory\b", code(path)), shown(path)


@pytest.mark.parametrize("path", PYTHON + CYTHON, ids=shown)
def test_10_no_assert_on_input(path):
    if path == KIO / "testing.py":
        return  # tests, for pytest to run
    if path.suffix == ".py":
        assert not any(isinstance(node, ast.Assert) for node in nodes(path))
    else:
        assert not re.search(r"^\s*assert\b", code(path), re.M)


def test_11_every_limit_is_in_limits_and_every_refusal_names_one():
    fields = {field.name for field in dataclasses.fields(Limits)}
    used = set()
    for path in PYTHON + CYTHON:
        text = path.read_text(encoding="utf-8")
        if path.name == "limits.py":
            continue
        used |= fields & set(re.findall(r"\w+", text))
        for match in re.finditer(r"LimitError\(", text):
            if text[: match.start()].endswith("class "):
                continue
            call = text[match.end() : match.end() + 700]
            # A call that names its field by a variable is one whose variable comes from a list of fields.
            assert fields & set(re.findall(r"\w+", call)) or "field=field" in call, f"{shown(path)}: {call[:120]}"
    assert used == fields, f"not enforced anywhere: {sorted(fields - used)}"
    documented = set(re.findall(r"^        (\w+): ", (KIO / "limits.py").read_text(encoding="utf-8"), re.M))
    assert documented == fields


TOP = {
    "setup.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    ".gitignore",
    ".pre-commit-config.yaml",
}
TOP |= {".ci", ".github", "csrc", "kio", "tests", "benchmarks"}
IN_KIO = {
    "tf.py",
    "__init__.py",
    "__init__.pxd",
    "__main__.py",
    "api.py",
    "saving.py",
    "callbacks.py",
    "cli.py",
}
IN_KIO |= {
    "demo",
    "reports.py",
    "errors.py",
    "limits.py",
    "dtypes.py",
    "keras_private.py",
    "optional.py",
    "plugins.py",
    "checkpoint.py",
    "contents.py",
    "conversion.py",
    "writing.py",
    "background.py",
    "testing.py",
    "py.typed",
    "README.md",
}
IN_KIO |= {"raw", "containers", "formats", "mapping", "models", "layers", "ops"}


def test_12_the_top_level_holds_what_it_may():
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line]
    names = {path.name for path in ROOT.iterdir() if not any(fnmatch(path.name, pattern) for pattern in ignored)}
    assert names - {".git", "PKG-INFO", "setup.cfg"} == TOP
    assert {path.name for path in KIO.iterdir()} - {"__pycache__"} == IN_KIO


def test_what_these_rules_name_exists():
    modules = [module_of(path) for path in PYTHON]
    for name in [*(f"kio.{each}" for each in FLOORS), *INSIDE, *KNOW_KERAS, PRIVATE]:
        assert any(f"{each}.".startswith(f"{name.rstrip('.')}.") for each in modules), name


def test_every_extra_has_a_use():
    """What an extra brings is imported, or is a command that CI, pre-commit or a guide calls."""
    if sys.version_info < (3, 11):
        pytest.skip("tomllib")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = ("kio", "tests", "benchmarks")
    lines = (path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))
    used = {
        name for text in lines for name in re.findall(r"^\s*(?:import|from) (\w+)|importorskip\(\"(\w+)", text, re.M)
    }
    used = {name for pair in used for name in pair}
    # A backend's own packages, by name of a row.
    used |= {text for text in texts(KIO / "optional.py") if isinstance(text, str)}
    said = "".join((ROOT / each).read_text(encoding="utf-8") for each in (".ci/run", ".pre-commit-config.yaml"))
    said += (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    # Plugins of pytest, by the option that they bring.
    options = {"pytest-timeout": "timeout" in project["tool"]["pytest"]["ini_options"], "pytest-xdist": "-n 2" in said}
    for extra, packages in project["project"]["optional-dependencies"].items():
        for package in packages:
            name = re.match(r"[\w-]+", package)[0]
            assert name.replace("-", "_") in used or options.get(name) or re.search(rf"(?<![\w-]){name}\b", said), (
                f"{extra}: {package}"
            )


def test_pre_commit_runs_the_commands_of_ci():
    ci = re.sub(r'"?\$venv/([\w-]+)"?', r"\1", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    entries = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert len(entries) >= 4
    for entry in entries:
        # CI runs every test.
        assert entry.startswith("python -m pytest") or re.search(rf"(^|\s){re.escape(entry)}\s", ci), entry


def test_no_machine_is_named():
    """Paths of one machine work on one machine."""
    mine = Path(__file__)
    for folder in ("kio", "tests", "csrc", "benchmarks", ".ci", ".github"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".pyx", ".pxd", ".pyi", ".c", ".h", ".md", ".sh") and path != mine:
                text = path.read_text(encoding="utf-8")
                assert not re.search(r"(?<![\w.])/(work|opt|home|root)/\w", text), shown(path)
