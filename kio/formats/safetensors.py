"""safetensors: flat names, text metadata, no configuration."""

from __future__ import annotations

from kio.checkpoint import Checkpoint
from kio.containers import safetensors
from kio.contents import Contents
from kio.errors import UnsupportedError
from kio.formats import keras_weights
from kio.formats.format import Format
from kio.formats.probe import Probe
from kio.formats.target import Options, Target
from kio.raw import transfer_out


def claims(probe: Probe) -> bool:
    return probe.container == "safetensors"


def open(probe: Probe) -> Checkpoint:
    """The tensors of the header.

    Raises:
        FormatError: for anything the format's own reader refuses.
    """
    tensors, metadata = safetensors.open(probe.known(probe.source), probe.limits)
    return Checkpoint(
        tensors,
        format="safetensors",
        layout="flat",
        name=probe.name,
        source=probe.source,
        metadata=metadata,
        closing=probe.closing,
    )


def create(target: Target, contents: Contents, options: Options) -> int:
    """One file, its elements aligned; groups without tensors are left out."""
    keras_weights.refuse_model(contents, "safetensors", metadata=True)
    if options.compression:
        raise UnsupportedError("safetensors: expected no compression, which the format has not")
    tensors = contents.tensors
    head, offsets = safetensors.draft(
        [(name, value.dtype_name, value.shape, value.nbytes) for name, value in tensors.items()], contents.metadata
    )
    pieces = [(at, value.piece) for at, value in zip(offsets, tensors.values(), strict=True) if value.nelems]
    with target.file() as sink:
        transfer_out.write(sink, [(0, head), *pieces], progress=options.progress)
        return sink.nbytes


FORMAT = Format(
    "safetensors",
    claims,
    open,
    create,
    suffixes=(".safetensors",),
    layout="flat",
    holds=("weights", "metadata"),
    writes=("file",),
)
