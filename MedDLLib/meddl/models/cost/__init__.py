"""What a network costs: operations, memory, and how fast this machine is."""
