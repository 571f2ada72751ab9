"""The product: devices, profiles, commands, SMS, status, uploads, web pages, REST API and background work.

Imports run one way, as drawn in docs/architecture.md: pages above rules, rules above tables, and at
the bottom the pure rooms `parameters` and `commands`.
"""
