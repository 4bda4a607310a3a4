"""Floor 1: bytes.  Reading them, checking them, moving them."""

# Whoever has a tensor can read it.
from kio.raw import transfer as transfer
