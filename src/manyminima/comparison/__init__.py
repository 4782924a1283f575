"""Whether a recipe helps: many methods, many seeds, one budget."""
