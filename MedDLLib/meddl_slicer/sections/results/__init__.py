"""Buttons under the results of the panels: table, plot and pictures."""
