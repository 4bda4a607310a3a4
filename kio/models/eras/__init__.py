"""What changed between versions of Keras, and rules that adapt configurations."""
