"""Report a comparison: tables, pictures, and a page with all of them."""
