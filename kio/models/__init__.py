"""Live Keras models.  The only room that imports Keras, and only when it is asked to."""
