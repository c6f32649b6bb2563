"""A large batch through a deployment of real processes that are killed on the way."""
