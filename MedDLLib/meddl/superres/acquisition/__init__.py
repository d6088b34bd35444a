"""How a scanner made a volume: slice profile, noise, and a simulator of both."""
