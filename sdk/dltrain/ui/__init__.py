"""The web page: a read-only view of jobs; what it shows is what the user's kubeconfig lets its server see."""
