import subprocess
import sys
import threading

from scripts.gpu.checks import Checks


def run(checks: Checks) -> None:
    with checks.check("before it hangs") as check:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        check.measured(f"child {child.pid}", pid=child.pid)
    threading.Event().wait()
