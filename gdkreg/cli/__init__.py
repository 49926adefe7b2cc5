"""What a person types: options → one call → render → exit code."""
