"""Media stores for finished files: a local folder or an S3-compatible bucket."""
