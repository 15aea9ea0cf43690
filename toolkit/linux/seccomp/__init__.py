"""System call filters: profiles, their compiler, and the call that installs the result."""
