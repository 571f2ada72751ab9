"""HTTP: pages, REST API, webhooks, sign-in, roles, schemas and health endpoints. No rules."""
