"""What the product is measured with beside `bin/benchmark`: the paper's arms, simple models."""
