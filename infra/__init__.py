"""berth: the Pulumi program and what it is made of."""
