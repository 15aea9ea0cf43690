"""A container's terminal in a notebook: what carries its bytes, and what is on its screen.

Nothing in here knows Jupyter.

- line.py: the thread between a container's terminal and those who look at it
- views.py: who looks, how far each has come, how large the screen is for all; pure
- scrollback.py: the last bytes, from which a screen is drawn again; pure
- screen.py: the screen that they make, as text and as HTML; pure
"""
