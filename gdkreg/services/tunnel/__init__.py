"""The way in from outside: an ssh of ours that publishes the registry at another machine, and whoever keeps it up."""
