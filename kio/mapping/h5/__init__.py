"""Legacy HDF5: layers with lists of weights, by name or by order."""
