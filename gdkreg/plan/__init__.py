"""Actions as values; inspect → plan → apply → check again; the journal that undo reads."""
