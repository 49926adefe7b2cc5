"""The stand-in for GitLab's /jwt/auth: users and what they may, and the service that gives out tokens."""
