"""What every rank of a pipeline job runs: data, training, evaluation, export."""
