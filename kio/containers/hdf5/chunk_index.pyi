# Chunk indexes; for cimport only.
