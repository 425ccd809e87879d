"""Everything that reads bytes of another process, fed with what nobody should send."""
