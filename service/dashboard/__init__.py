"""The operator's dashboard: pages for people, and a JSON API for programs."""
