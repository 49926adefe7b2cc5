"""The container engines: which one answers, where it keeps trust, how it is reloaded."""
