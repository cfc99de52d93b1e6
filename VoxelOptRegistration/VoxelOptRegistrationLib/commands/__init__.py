"""The subcommands of `voxelopt`: each module adds its arguments and runs; its docstring is its help."""
