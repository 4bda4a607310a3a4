# The grid of chunks of one dataset; for cimport only.

class Chunks:
    """Takes the stored chunks of a dataset one by one, from whichever index finds them."""
