"""Keras: a network as a model, and its training."""
