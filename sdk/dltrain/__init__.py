"""dltrain: distributed deep-learning training on Kubernetes."""
