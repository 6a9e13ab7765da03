"""Processes of one machine as Pulumi resources, kept alive by supervisord."""
