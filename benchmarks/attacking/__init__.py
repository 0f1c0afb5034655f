"""Hostile inputs by what they attack; `attacks.py` tries all that `LISTS` names."""
