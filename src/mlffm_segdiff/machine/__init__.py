"""The machine: CPUs, memory, and the connection to a cluster."""
