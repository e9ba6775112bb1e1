"""Speed and memory of this machine, compared with other networks and with the project's goals."""
