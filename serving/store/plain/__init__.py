"""Weights as they are on the hub, in a bucket or in a folder: fetched, checked, and put into the store unconverted."""
