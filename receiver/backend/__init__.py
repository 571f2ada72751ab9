"""What the receiver needs of the product: the port, the reporter, batching and known devices."""
