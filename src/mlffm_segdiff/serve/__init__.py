"""A server that segments over HTTP: a page, a REST API, and its metrics."""
