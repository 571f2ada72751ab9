"""The camera protocol, pure: frames, messages and the session machine."""
