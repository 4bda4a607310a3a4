"""safetensors: flat names, text metadata, no configuration."""

from __future__ import annotations

from kio.checkpoint import Checkpoint
from kio.containers import safetensors
from kio.formats.format import Format
from kio.formats.probe import Probe


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


FORMAT = Format("safetensors", claims, open)
