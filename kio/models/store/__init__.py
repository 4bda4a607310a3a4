"""A live model to what is written: configuration, assets, training state."""
