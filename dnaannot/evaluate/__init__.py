"""How well predictions match a reference."""
