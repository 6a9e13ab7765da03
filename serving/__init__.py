"""What runs beside and in front of the models. Knows nothing of infra or Pulumi."""
