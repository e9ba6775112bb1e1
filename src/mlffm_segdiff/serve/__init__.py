"""One process that segments over HTTP: a page, a REST API, and what watches over them."""
