"""Formats and codecs of other distributions: an example of each, and what may be wrong with one.

Each runs in a process of its own, because what has been found is kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CODEC = '''
from kio.raw.codecs import Codec

def apply(data, level):
    """Each byte's bits turned, and every run of zero bits at the end left out."""
    return (bytes(255 - byte for byte in data.tobytes())).rstrip(b"\\xff") + bytes([level])

def undo(stored, parameter, nbytes_max):
    if len(stored) < 1 or stored[-1] > 9:
        raise ValueError("no level at the end")
    return bytes(255 - byte for byte in stored[:-1]).ljust(nbytes_max, b"\\0")

CODEC = Codec("turned", hdf5=(40001, b"bits turned"), parameter="level", compressor=True, option="turned",
              levels=(2, 1, 9), apply=apply, undo=undo)
'''

FORMAT = r'''
"""A head of JSON, one row a tensor, then the elements: a format over no container."""

import json

from kio import dtypes
from kio.checkpoint import Checkpoint
from kio.containers import json_text
from kio.errors import CorruptError, TruncatedError, UnsupportedError
from kio.formats.format import Format
from kio.raw import transfer_out
from kio.raw.tensor import Extent, Tensor

MAGIC = b"plain tensors\n"


def claims(probe):
    return probe.head.startswith(MAGIC)


def open(probe):
    """The tensors of the head."""
    source = probe.known(probe.source)
    start = len(MAGIC) + 8
    nbytes = int.from_bytes(source.read(len(MAGIC), 8), "little") if source.nbytes >= start else source.nbytes
    if nbytes > source.nbytes - start:
        raise TruncatedError(f"head: expected {nbytes} bytes, found fewer", source=source.name)
    # One byte beyond the limit is enough for the parser to name it.
    rows = json_text.parse(source.read(start, min(nbytes, probe.limits.config_bytes + 1)), source.name, probe.limits)
    tensors, at = {}, start + nbytes
    for name, kind, shape in map(checked, rows.items() if isinstance(rows, dict) else ()):
        size = dtypes.BY_NAME[kind].itemsize
        for extent in shape:
            size *= extent
        tensors[name] = Tensor(name, kind, shape, [Extent(source, at, size)], limits=probe.limits)
        at += size
    if at != source.nbytes:
        raise CorruptError(f"file size: expected {at} bytes, found {source.nbytes}", source=source.name)
    return Checkpoint(tensors, format="plain", layout="flat", name=probe.name, source=source, closing=probe.closing)


def checked(row):
    name, rest = row
    kind, *shape = rest if isinstance(rest, list) and rest else [None]
    if kind not in dtypes.CODES or not all(type(extent) is int and 0 <= extent < 1 << 40 for extent in shape):
        raise CorruptError(f"head: expected a type and a shape, found {str(rest)[:80]}", tensor=name)
    return name, kind, tuple(shape)


def create(target, contents, options):
    """One file; what is no tensor is refused."""
    if contents.config is not None or contents.metadata or contents.assets or options.compression:
        raise UnsupportedError("plain: expected tensors alone")
    rows = {name: [value.dtype_name, *value.shape] for name, value in contents.tensors.items()}
    text = json.dumps(rows, ensure_ascii=False).encode()
    head = MAGIC + len(text).to_bytes(8, "little") + text
    pieces, at = [(0, head)], len(head)
    for value in contents.tensors.values():
        if value.nelems:
            pieces.append((at, value.piece))
        at += value.nbytes
    with target.file() as sink:
        transfer_out.write(sink, pieces, progress=options.progress)
        return sink.nbytes


FORMAT = Format("plain", claims, open, create, suffixes=(".plain",), holds=("weights",), writes=("file",))
'''


def distribution(folder, name, modules, **entries):
    """Install a distribution into a folder: its modules, and entry points by group."""
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [f"[kio.{group}]\n" + "\n".join(f"{k} = {v}" for k, v in found.items()) for group, found in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def run(script, folder, *arguments):
    """The output of a script in a process that sees the folder; its warnings are errors unless it catches them."""
    paths = [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


HDF5 = """
import io, sys, h5py, numpy as np, kio
from kio.raw import codecs
value = np.arange(9000, dtype="<i4").reshape(90, 100)
value[50:] = 0
"""


def test_a_codec_reads_and_writes_hdf5(tmp_path):
    distribution(tmp_path, "turned-codec", {"turned": CODEC}, codecs={"turned": "turned:CODEC"})
    script = """
    kio.write("a.weights.h5", {"layers/x/vars/0": value}, compression="turned")
    with h5py.File("a.weights.h5") as file:
        plist = file["layers/x/vars/0"].id.get_create_plist()
        number, _, values, name = plist.get_filter(1)
        assert (number, values, name.rstrip(b"\\0")) == (40001, (2,), b"bits turned")
        assert file["layers/x/vars/0"].id.get_storage_size() < value.nbytes
    with kio.open("a.weights.h5") as found:
        assert np.array_equal(found.read()["layers/x/vars/0"], value)
        assert np.array_equal(found["layers/x/vars/0"][49:52, 3], value[49:52, 3])
        codecs_of = found["layers/x/vars/0"].extents[0].codecs
        assert codecs_of == (("turned", 2), ("shuffle", 4))
        assert kio.verify("a.weights.h5").ok
    kio.write("b.weights.h5", {"layers/x/vars/0": value}, compression=("turned", 9))
    kio.convert("a.weights.h5", "c.safetensors")
    assert "turned" in codecs.options() and codecs.of_hdf5(40001).name == "turned"
    """
    run(HDF5 + textwrap.dedent(script), tmp_path)
    # A tensor that travels names its codec: the process that it comes to looks it up.
    run(
        """
        import pickle, sys, kio
        with kio.open("a.weights.h5") as found:
            open("t.pickle", "wb").write(pickle.dumps(found["layers/x/vars/0"]))
        """,
        tmp_path,
    )
    assert run(
        """
        import pickle, numpy as np
        array = np.asarray(pickle.load(open("t.pickle", "rb")))
        print(array.shape, array[0, 5], array[60, 0])
        """,
        tmp_path,
    ) == ["(90,", "100)", "5", "0"]


def test_what_a_codec_makes_is_bounded_and_damage_is_an_error(tmp_path):
    distribution(tmp_path, "turned-codec", {"turned": CODEC}, codecs={"turned": "turned:CODEC"})
    script = """
    from kio.raw.source import Source
    from kio.raw.tensor import Extent, Tensor

    def tensor(stored):
        extent = Extent(Source.of_bytes(stored), 0, len(stored), (("turned", 1),), (0,), (4,))
        return Tensor("x", "uint8", (4,), [extent])

    assert np.asarray(tensor(b"\\xfe\\xfd\\x01")).tolist() == [1, 2, 0, 0]
    for stored in (b"\\xfe\\x77", b"\\xfe\\xfe\\xfe\\xfe\\xfe\\xfe\\x01"):
        try:
            np.asarray(tensor(stored))
        except kio.CorruptError as error:
            assert "tensor x" in str(error)
        else:
            raise SystemExit("read")
    """
    run(HDF5 + textwrap.dedent(script), tmp_path)


def test_without_its_codec_a_file_says_what_it_lacks(tmp_path):
    distribution(tmp_path, "turned-codec", {"turned": CODEC}, codecs={"turned": "turned:CODEC"})
    run(HDF5 + 'kio.write("a.weights.h5", {"layers/x/vars/0": value}, compression="turned")', tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    script = """
    with kio.open(sys.argv[1]) as found:
        assert found["layers/x/vars/0"].problem == "filter bits turned (40001)", found["layers/x/vars/0"].problem
    """
    run(HDF5 + textwrap.dedent(script), other, tmp_path / "a.weights.h5")


def test_a_format_is_read_written_and_converted(tmp_path):
    distribution(tmp_path, "plain-format", {"plain": FORMAT}, formats={"plain": "plain:FORMAT"})
    run(
        """
        import numpy as np, kio
        from kio import formats
        from kio.cli import main
        arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((0, 2), "i1"), "c": np.float32(7)}
        result = kio.write("a.plain", arrays)
        assert result.format == "plain", result
        with kio.open("a.plain") as found:
            assert (found.format, found.layout, list(found)) == ("plain", "flat", ["a", "b", "c"])
            for name, value in arrays.items():
                assert np.array_equal(found.read()[name], value)
        kio.convert("a.plain", "a.safetensors")
        kio.convert("a.safetensors", "b.plain")
        kio.write("c", arrays, format="plain")
        kio.write("d", arrays, format=".plain")
        assert open("a.plain", "rb").read() == open("c", "rb").read() == open("d", "rb").read()
        assert main(["ls", "a.plain"]) == 0 and main(["verify", "b.plain"]) == 0
        assert [each.name for each in formats.outside()] == ["plain"]
        open("bad.plain", "wb").write(open("a.plain", "rb").read() + b"x")
        try:
            kio.open("bad.plain")
        except kio.CorruptError as error:
            assert "file size" in str(error)
        # It holds no model.
        try:
            formats.format_of_path("m.plain", lambda each: "model" in each.holds)
        except kio.UnknownFormatError:
            print("refused")
        """,
        tmp_path,
    )


def test_nothing_is_looked_up_for_what_kio_has_itself(tmp_path):
    distribution(
        tmp_path,
        "both",
        {"turned": CODEC, "plain": FORMAT},
        codecs={"turned": "turned:CODEC"},
        formats={"plain": "plain:FORMAT"},
    )
    run(
        """
        import sys, numpy as np, kio
        from kio import plugins
        for suffix in ("safetensors", "npz", "weights.h5"):
            kio.write(f"a.{suffix}", {"x": np.zeros((300, 300))}, compression="gzip" if "h5" in suffix else None)
            with kio.open(f"a.{suffix}") as found:
                found.read()
        assert not plugins._listed and not {"turned", "plain", "importlib.metadata"} & set(sys.modules)
        try:
            kio.open(b"nothing that anybody knows")
        except kio.UnknownFormatError as error:
            assert "plain" in str(error)
        assert "plain" in sys.modules and "turned" not in sys.modules
        """,
        tmp_path,
    )


BROKEN = {
    "no module": ({}, {"formats": {"gone": "not_there:FORMAT"}}, "ModuleNotFoundError"),
    "raises": ({"bad": "raise RuntimeError('at import')"}, {"formats": {"bad": "bad:FORMAT"}}, "at import"),
    "another type": ({"bad": "FORMAT = 3"}, {"formats": {"bad": "bad:FORMAT"}}, "expected a kio.formats.format.Format"),
    "another name": ({"plain": FORMAT}, {"formats": {"other": "plain:FORMAT"}}, "expected a format of that name"),
    "kio's name": ({"plain": FORMAT}, {"formats": {"npz": "plain:FORMAT"}}, "one of kio's own, which stays"),
    "kio's suffix": (
        {"plain": FORMAT.replace('".plain"', '".npz"')},
        {"formats": {"plain": "plain:FORMAT"}},
        "expected suffixes that kio does not write",
    ),
    "codec of another type": (
        {"bad": "CODEC = 3"},
        {"codecs": {"bad": "bad:CODEC"}},
        "expected a kio.raw.codecs.Codec",
    ),
    "codec of kio's name": ({"turned": CODEC}, {"codecs": {"deflate": "turned:CODEC"}}, "one of kio's own"),
    "codec of kio's filter": (
        {"turned": CODEC.replace("40001", "32015")},
        {"codecs": {"turned": "turned:CODEC"}},
        "expected an HDF5 filter that kio has not",
    ),
    "codec without undo": (
        {"turned": CODEC.replace(", undo=undo", "")},
        {"codecs": {"turned": "turned:CODEC"}},
        "expected a codec with undo",
    ),
    "codec in place": (
        {"turned": CODEC.replace("compressor=True", "extra=4")},
        {"codecs": {"turned": "turned:CODEC"}},
        "expected a codec with undo, without extra",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_that_is_broken_is_named_once_and_left_out(case, tmp_path):
    modules, entries, says = BROKEN[case]
    distribution(tmp_path, "broken-thing", modules, **entries)
    run(
        """
        import sys, warnings, numpy as np, kio
        from kio.raw import codecs
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for _ in range(3):
                for data in (b"nothing that anybody knows", b"plain tensors\\n"):
                    try:
                        kio.open(data)
                    except kio.UnknownFormatError as error:
                        assert "safetensors" in str(error)
                    else:
                        raise SystemExit("opened")
                assert codecs.of_hdf5(40001) is None and codecs.of_option("turned") is None
            kio.write("a.npz", {"x": np.arange(3)})
            with kio.open("a.npz") as found:
                assert found.format == "npz"
            assert codecs.named("deflate").levels == (4, 0, 9) and codecs.of_hdf5(32015).name == "zstd"
        ours = [str(each.message) for each in seen if "is not used" in str(each.message)]
        assert len(ours) == 1, ours
        assert "broken-thing 1.2" in ours[0] and sys.argv[1] in ours[0], ours
        """,
        tmp_path,
        says,
    )


def test_a_format_whose_claims_raise_breaks_nothing(tmp_path):
    text = FORMAT.replace("return probe.head", "raise RuntimeError('oh')\n    return probe.head")
    distribution(tmp_path, "raising", {"plain": text}, formats={"plain": "plain:FORMAT"})
    run(
        """
        import warnings, kio
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                kio.open(b"nothing that anybody knows")
            except kio.UnknownFormatError:
                pass
        assert "plain could not look" in str(seen[0].message)
        """,
        tmp_path,
    )


def test_what_kio_refuses_others_may_read(tmp_path):
    """A kind of file that kio knows and does not read, GGUF, is another's to claim."""
    text = FORMAT.replace(r'b"plain tensors\n"', 'b"GGUF"')
    distribution(tmp_path, "reads-gguf", {"plain": text}, formats={"plain": "plain:FORMAT"})
    run(
        """
        import numpy as np, kio
        kio.write("a.plain", {"x": np.arange(3)})
        with kio.open("a.plain") as found:
            assert found.format == "plain" and found.read()["x"].tolist() == [0, 1, 2]
        """,
        tmp_path,
    )


def test_of_two_with_one_name_the_first_is_used(tmp_path):
    for n in (1, 2):
        folder = tmp_path / str(n)
        folder.mkdir()
        distribution(folder, f"plain-{n}", {f"plain{n}": FORMAT}, formats={"plain": f"plain{n}:FORMAT"})
    run(
        """
        import sys, warnings
        sys.path[:0] = [sys.argv[1] + "/1", sys.argv[1] + "/2"]
        from kio import formats
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            (found,) = formats.outside()
        assert found.open.__module__ == "plain1"
        (text,) = [str(each.message) for each in seen]
        assert "plain-2 1.2" in text and "plain-1 1.2 has one of that name" in text
        """,
        tmp_path,
        tmp_path,
    )
