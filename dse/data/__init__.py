"""Images in fixed splits: CIFAR, Visual Wake Words, any folder of images."""
