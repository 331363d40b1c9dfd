"""Who builds the partitions: this process, processes of this machine, Dask, Spark, or any executor."""
