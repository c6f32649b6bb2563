"""What `make demo` and `make up` run: servers to route to, and a tour of the router."""
