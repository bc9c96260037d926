"""The demo: invented complaints that are shipped with the package, and the main job on them from end to end.

Import from the modules (`extractft.demo.complaints`, `extractft.demo.run`). The rows load without torch.
"""

__all__: list[str] = []
