"""What comes out: a table for the terminal, JSON, and a page that stands alone."""
