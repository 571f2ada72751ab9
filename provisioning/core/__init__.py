"""What every package of the product may use: configuration, errors, logging, encryption, threads, jobs, change feed."""
