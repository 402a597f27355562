"""Side by side with peers: time, memory and agreement, each as a ratio. See README.md."""
