import os

from scripts.gpu.checks import Checks


def run(checks: Checks) -> None:
    with checks.check("before it dies"):
        pass
    os.write(2, b"a driver's last words\n")
    os._exit(7)
