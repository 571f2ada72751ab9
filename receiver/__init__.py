"""The receiver: takes files from cameras. It knows nothing of the product but the port that `__main__` fills."""
