"""What every room may use: errors, ids, digests, units, the clock and the state.

Nothing in here touches the kernel beyond plain files, and nothing here knows
what a container is.
"""
