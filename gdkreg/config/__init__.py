"""gdk.yml → Settings: sole owner of key names, defaults, their documentation and their errors."""
