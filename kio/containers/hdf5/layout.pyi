# Data layout messages; for cimport only.
