"""The contract: what a job may say, what its status says, and what the parts of dltrain say to each other."""
