"""Results as one HTML file that can be mailed: one module and one template a section."""
