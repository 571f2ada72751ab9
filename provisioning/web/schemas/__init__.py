"""marshmallow schemas, a noun a module: what requests may hold, by JSON or by forms."""
