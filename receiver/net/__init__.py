"""The network side: listener, connections, limits, PROXY header and TLS."""
