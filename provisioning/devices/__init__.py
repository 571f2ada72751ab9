"""Devices: the registry, the status table, and the change of their SMS credentials."""
