"""Landmarks of a head as markups, and its AC-PC alignment."""
