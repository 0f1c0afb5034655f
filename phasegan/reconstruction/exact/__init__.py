"""Exact reconstruction: integer images, certificates, and when they are unique."""
