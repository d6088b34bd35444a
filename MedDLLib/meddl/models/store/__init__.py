"""Models on this machine: downloaded, verified, installed, removed."""
