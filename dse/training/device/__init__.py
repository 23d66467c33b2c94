"""Training on JAX, made for a GPU: images and augmentation on the device, many steps in one compiled program."""
