"""Asking a device: submission, the state of a command, matching of replies and what follows from them."""
