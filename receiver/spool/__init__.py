"""Partial files on this machine: transfer, sidecars, locks, leases, quarantine and cleanup."""
