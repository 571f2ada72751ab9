"""What concerns many vehicles: presets."""
