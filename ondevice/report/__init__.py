"""Reports: results of benchmarks in, tables and pictures out, every figure with its evidence."""
