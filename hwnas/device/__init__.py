"""Devices elsewhere: behind ssh, or a folder that is carried there by hand. No torch, no onnx."""

from hwnas.device.folder import FolderJob, RecordedDevice
from hwnas.device.ssh import SshDevice

__all__ = ["FolderJob", "RecordedDevice", "SshDevice"]
