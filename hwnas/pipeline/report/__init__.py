"""The facts of a finished run, and the page that shows them."""
