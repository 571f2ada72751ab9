"""The cameras' side: bytes to files. Knows nothing of the product but the port that `__main__` gives it."""
