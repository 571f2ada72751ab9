"""The product: devices, commands, SMS, media, checks, pages, REST API and background work.

Imports run one way, as drawn in docs/architecture.md: pages above rules, rules above tables, and at
the bottom the pure rooms `parameters` and `commands`.
"""
