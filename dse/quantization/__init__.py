"""A Keras model as an int8 or float TFLite file, and how well int8 does."""
