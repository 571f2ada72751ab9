"""Virtual DualCam vehicles and a stand-in for Twilio's Messages API: for trying, training, tests and benchmarks.

An independent witness: it imports nothing of the product. See docs/simulator.md.
"""
