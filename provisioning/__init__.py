"""The product: devices, commands, SMS, media, checks, pages, REST API and background work.

docs/architecture.md lists the packages in the order of their imports.
"""
