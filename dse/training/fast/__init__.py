"""A training as TensorFlow computes it fastest on a processor: layers, optimizers, bfloat16. TensorFlow only."""
