"""The walk and the guide drawn: text, SVG, one self-contained page."""
