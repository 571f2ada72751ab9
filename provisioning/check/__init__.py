"""The checklist of a device: its steps and verdicts, and the runner."""
