"""What others have to be told of this registry: CI files, GitLab's settings, nginx, compose, curl. Text out of settings."""
