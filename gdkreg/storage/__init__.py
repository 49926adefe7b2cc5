"""The registry's tree on disk, as Distribution writes it: what is in it, what refers to what, and the trash for what is unused."""
