"""A bundled MCP server that does slow work honestly: it exports rows of a data set to a file."""
