# Fractal heaps and the global heap; for cimport only.

from typing import final

@final
class Collection:
    """The objects of one global heap collection."""
