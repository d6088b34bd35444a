"""Landmarks of a head as markups and its AC-PC alignment; landmarks and boxes of a model of one's own."""
