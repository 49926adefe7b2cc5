"""What `reconfigure` manages, one file each. A resource reads and plans; it changes nothing itself."""
