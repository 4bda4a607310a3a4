"""Floor 2: bytes in, index out.  A container never reads payload."""
