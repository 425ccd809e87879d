"""Scripts as users write them without dltrain."""
