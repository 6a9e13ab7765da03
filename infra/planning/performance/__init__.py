"""How fast a replica is: step times, queueing, percentiles."""
