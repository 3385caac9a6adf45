"""The report as a site: static pages that need nothing but a browser."""
