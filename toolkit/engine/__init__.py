"""The facade that composes the rooms below into containers, images and everything around them."""
