"""The only room that imports Keras: live models as trees, configurations, backends."""
