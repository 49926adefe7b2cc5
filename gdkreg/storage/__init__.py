"""The registry's tree on disk: what is in it, what refers to what, and the trash for what is unused."""
