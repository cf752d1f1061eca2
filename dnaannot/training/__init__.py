"""Training: one trainer for every objective, and what each task trains on."""
