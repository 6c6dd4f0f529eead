"""The page `GET /ui`: static files."""
