"""What runs: the registry, as a container or as a process."""
