"""How a report looks: the page, its figures as SVG, its style."""
