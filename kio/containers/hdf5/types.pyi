# Datatype and dataspace messages; for cimport only.
