# Object headers; for cimport only.
