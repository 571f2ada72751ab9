"""SMS: the gateway, sending, inbound texts and reports, reconciliation, recovery and unmatched texts."""
