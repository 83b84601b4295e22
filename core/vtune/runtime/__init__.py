"""What every command stands on: devices, processes, signals, disks, and files that are whole or absent."""
