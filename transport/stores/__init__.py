"""Stores: where sessions are kept, and found again."""
