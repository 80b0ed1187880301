"""The SageMaker training API on the loopback address, for tests and for trying things out."""

from byohpo_sagemaker_emulator.clock import VirtualClock
from byohpo_sagemaker_emulator.emulator import Call, Emulator
from byohpo_sagemaker_emulator.faults import Faults
from byohpo_sagemaker_emulator.jobs import JobView
from byohpo_sagemaker_emulator.simulation import SimulatedJob

__all__ = ["Call", "Emulator", "Faults", "JobView", "SimulatedJob", "VirtualClock"]
