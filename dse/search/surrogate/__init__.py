"""What is guessed of networks that were not trained yet, and which of them is worth a training."""
