"""Quota notices: one workspace record for each org and resource whose quota is running out."""
