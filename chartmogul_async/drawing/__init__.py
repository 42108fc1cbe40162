"""Charts as SVG, and numbers as people read them: for reports, and for what a notebook shows."""
