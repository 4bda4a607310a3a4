# The grid of chunks of one dataset; for cimport only.

from typing import final

@final
class Chunks:
    """Takes the stored chunks of a dataset one by one, from whichever index finds them."""
