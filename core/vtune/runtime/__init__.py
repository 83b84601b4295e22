"""The ground of every command: devices, processes, signals, disks, and files that are complete or absent."""
