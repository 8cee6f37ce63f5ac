"""Ground floor: what train, hls, sim and host share. Standard library and numpy only, Python 3.8."""
