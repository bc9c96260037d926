"""The report as one page of HTML: its parts as data, its plots, its sentences, and the templates."""
