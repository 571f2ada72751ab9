"""Files after the receiver: registration, links to commands, previews, sessions, leases and retention."""
