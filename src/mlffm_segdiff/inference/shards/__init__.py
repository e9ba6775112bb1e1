"""Predictions of many images as shards, made by one process or by a cluster with the same bytes."""
