"""Floor 1: bytes.  Reading them, checking them, moving them."""
