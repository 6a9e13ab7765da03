"""Dynamic providers: resources that berth itself creates, updates and deletes."""
