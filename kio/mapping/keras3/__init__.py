"""Keras 3: objects and variables by their paths."""
