"""`python3 -m tests.supply UV`: known vulnerabilities of dependencies, secrets in files, mistakes in Dockerfiles."""
