"""The only code that touches the machine: files, commands and sudo, network, processes."""
