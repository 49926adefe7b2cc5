"""Everybody's clients: what is known of each, and the logins that it keeps."""
