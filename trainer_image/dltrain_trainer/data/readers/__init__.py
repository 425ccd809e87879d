"""One reader for each format: from files to arrays, split by split where the files say so."""
