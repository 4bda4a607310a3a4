"""A filled buffer to jax, torch, tensorflow or numpy, with no copy that is not needed."""
