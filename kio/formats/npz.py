"""NumPy ``.npz``: a zip whose every member is an npy array.

Keras once wrote weights as npz too (``weights_format="npz"``): pickled dictionaries, which
kio recognises and never loads.
"""

from __future__ import annotations

from kio.checkpoint import Checkpoint
from kio.containers import npy
from kio.containers.zip import Archive
from kio.containers.zip_writer import ZipWriter
from kio.contents import Contents
from kio.errors import UnsupportedError
from kio.formats import keras_weights
from kio.formats.format import Format
from kio.formats.probe import Probe
from kio.formats.target import Options, Target, joined
from kio.limits import Limits
from kio.raw import transfer_out
from kio.raw.tensor import Tensor

PICKLED = (
    "load it once with the Keras that wrote it (3.8 or older, and only if you trust the file) "
    "and save it again as .keras or .weights.h5"
)


def is_npz(archive: Archive | None) -> bool:
    """Whether a zip archive holds arrays and nothing else."""
    return archive is not None and bool(archive.members) and all(n.endswith(".npy") for n in archive.members)


def read_arrays(archive: Archive, limits: Limits) -> dict[str, Tensor]:
    """The arrays of an archive by name.  One of a kind that kio does not read says so when read.

    Raises:
        UnsupportedError: if there are arrays, and none that kio reads.
        FormatError: for damaged members.
    """
    tensors: dict[str, Tensor] = {}
    first: UnsupportedError | None = None
    for member in archive.members:
        name = member.removesuffix(".npy")
        try:
            tensors[name] = npy.open(archive.source(member), name, limits)
            if not tensors[name].nelems:
                # Nothing of it will ever be read, so nothing else would check its header.
                archive.verify(member)
        except UnsupportedError as error:
            archive.verify(member)
            first = first or error
            tensors[name] = Tensor(name, "opaque1", (), problem=str(error))
    if first is not None and "__root__" in tensors:
        raise UnsupportedError(
            "npz weights: expected arrays, found pickled Python objects (weights_format='npz'), which kio never loads",
            source=archive.name,
            hint=PICKLED,
        )
    if first is not None and all(tensor.problem for tensor in tensors.values()):
        raise first
    return tensors


def claims(probe: Probe) -> bool:
    return is_npz(probe.archive)


def open(probe: Probe) -> Checkpoint:
    """The arrays, by name without ``.npy``.

    Raises:
        FormatError: as ``read_arrays``.

    Reads: the header of each member; all of a deflated one.
    """
    tensors = read_arrays(probe.known(probe.archive), probe.limits)
    return Checkpoint(tensors, format="npz", layout="flat", name=probe.name, source=probe.source, closing=probe.closing)


def create(target: Target, contents: Contents, options: Options) -> int:
    """One member a tensor, stored, as ``numpy.savez``; its elements aligned.

    Raises:
        UnsupportedError: for types that NumPy has not, and for compression.
    """
    keras_weights.refuse_model(contents, "npz")
    if options.compression:
        raise UnsupportedError("npz: expected no compression, which kio does not write here")
    heads = {name: npy.header_of(value.dtype_name, value.shape) for name, value in contents.tensors.items()}
    progress = joined(options.progress, contents.nbytes)
    with target.file() as sink:
        archive = ZipWriter(sink)
        for name, value in contents.tensors.items():
            nbytes = len(heads[name]) + value.nbytes
            start = archive.begin(name + ".npy", nbytes, boundary=64)
            pieces = [(start, heads[name])]
            if value.nelems:
                pieces.append((start + len(heads[name]), value.piece))
            (crc32,) = transfer_out.write(sink, pieces, checksums=[(start, nbytes)])
            archive.end(nbytes, crc32)
            progress(value.nbytes)
        return archive.finish()


FORMAT = Format("npz", claims, open, create, suffixes=(".npz",), layout="flat", holds=("weights",), writes=("file",))
