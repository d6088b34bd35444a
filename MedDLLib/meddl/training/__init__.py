"""Training: one loop, and a task for each verb that has networks."""
