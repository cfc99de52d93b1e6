"""How good is a registration: measures, pictures and the report. Numbers are plain Python ones, ready for JSON."""
