"""A configuration to a model whose variables wait for their values."""
