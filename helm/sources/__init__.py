"""What the chart is generated from: `python -m helm.sources` writes it, `--check` only compares."""
