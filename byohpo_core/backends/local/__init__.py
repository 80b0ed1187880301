"""The backend that runs each trial as a training script on this machine."""
