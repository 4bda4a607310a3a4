"""A live model as a tree of variables, and back."""
