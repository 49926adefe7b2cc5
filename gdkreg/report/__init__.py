"""Results → text or JSON. The same values feed both."""
