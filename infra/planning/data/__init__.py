"""Facts as data: model configs, GPUs, instance types, prices. Each file says where its numbers come from and when."""
