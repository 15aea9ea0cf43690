"""Data that outlives containers: what a mount may be asked to be, the store of volumes, and the drivers of volumes."""
