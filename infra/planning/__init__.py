"""What fits, what it costs, and the cheapest placement that keeps the objectives. Pure: knows nothing of Pulumi."""
