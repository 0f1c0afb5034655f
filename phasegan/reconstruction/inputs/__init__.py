"""Phases of any origin: arrays, files, conventions, and the problems they pose."""
