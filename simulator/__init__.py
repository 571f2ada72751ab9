"""Virtual DualCam vehicles and stand-ins for SMS gateways: for trying, training, tests and benchmarks.

An independent witness: it imports nothing of the product. See docs/simulator.md.
"""
