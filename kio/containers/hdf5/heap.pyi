# Fractal heaps and the global heap; for cimport only.

class Collection:
    """The objects of one global heap collection."""
