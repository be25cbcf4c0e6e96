"""A stand-in phone for tests: a sandbox folder, the daemon over it, and programs to push."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ABI = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}.get(platform.machine())

THERMAL = """IsStatusOverride: false
Thermal Status: {status}
Cached temperatures:
\tTemperature{{mValue=99.0, mType=0, mName=CPU0, mStatus=0}}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{{mValue={celsius}, mType=0, mName=CPU0, mStatus=0}}
\tTemperature{{mValue=21.5, mType=0, mName=CPU1, mStatus=0}}
\tTemperature{{mValue=28.4, mType=3, mName=SKIN, mStatus=0}}
Current cooling devices from HAL:
\tCoolingDevice{{mValue=0, mType=0, mName=fan}}
"""

_LAUNCHER = """
#include <unistd.h>
int main(int argc, char **argv) {
    char *words[argc + 3];
    words[0] = PYTHON, words[1] = SCRIPT, words[2] = FACE;
    for (int i = 1; i <= argc; i++) words[i + 2] = argv[i];
    execv(PYTHON, words);
    return 127;
}
"""


def what_is_missing() -> str | None:
    """Why stand-in phones cannot be used here; None: they can."""
    if shutil.which("adb") is None:
        return "no adb client on this machine (Debian: apt install adb)"
    if shutil.which("cc") is None:
        return "no C compiler on this machine, for the program that is pushed"
    if ABI is None or not hasattr(os, "sched_getaffinity"):
        return f"the stand-in phone runs on Linux on x86-64 or ARM64, not on {platform.platform()}"
    return None


def build_tool(folder: Path, face: str) -> Path:
    """A real executable that runs the stand-in tool with one of its faces."""
    source, program = folder / f"{face}.c", folder / face
    source.write_text(_LAUNCHER)
    texts = {"PYTHON": sys.executable, "SCRIPT": HERE / "standin_tool.py", "FACE": face}
    defines = [f'-D{name}="{text}"' for name, text in texts.items()]
    subprocess.run(["cc", *defines, "-o", str(program), str(source)], check=True)
    return program


class StandInPhone:
    """A phone that is a folder of this machine. Its cores are two that this process may use, the second faster."""

    def __init__(self, sandbox: Path, *daemon_options: str, wrap: tuple[str, ...] = ()) -> None:
        self.sandbox = sandbox
        allowed = sorted(os.sched_getaffinity(0))
        self.cores = (allowed[0], allowed[-1])
        self.write("behaviour", "steady")
        self.write("bin/getprop", '#!/bin/sh\nexec cat "$STANDIN_SANDBOX/properties"\n', executable=True)
        self.write("bin/dumpsys", '#!/bin/sh\nexec cat "$STANDIN_SANDBOX/dumpsys-$1"\n', executable=True)
        self.set_properties(abis=f"{ABI},armeabi")
        self.set_temperature(31.0)
        self.write("sys/devices/system/cpu/online", ",".join(map(str, sorted(set(self.cores)))))
        for core, khz in zip(self.cores, (1_800_000, 2_800_000), strict=True):
            self.write(f"sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq", str(khz))
            self.set_clock(core, "scaling_governor", "schedutil")
            self.set_clock(core, "scaling_cur_freq", str(khz // 2))
            self.set_clock(core, "scaling_max_freq", str(khz))
        (sandbox / "data/local/tmp").mkdir(parents=True)
        command = [*wrap, sys.executable, str(HERE / "standin_adbd.py"), str(sandbox), *daemon_options]
        self.daemon = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.daemon.stdout is not None
        self.serial = f"127.0.0.1:{int(self.daemon.stdout.readline())}"

    def connect(self) -> str:
        """`adb connect`; what it said."""
        return subprocess.run(["adb", "connect", self.serial], capture_output=True, text=True, check=False).stdout

    def unplug(self) -> None:
        """The daemon dies at once, and its connections with it."""
        self.daemon.kill()
        self.daemon.wait()

    def remove(self) -> None:
        """The end of it."""
        self.unplug()
        assert self.daemon.stdout is not None
        self.daemon.stdout.close()
        subprocess.run(["adb", "disconnect", self.serial], capture_output=True, check=False)

    def write(self, name: str, text: str, executable: bool = False) -> None:
        path = self.sandbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if executable else 0o644)

    def set_properties(self, abis: str) -> None:
        properties = {
            "ro.product.model": "Stand-in 1",
            "ro.product.manufacturer": "mnas",
            "ro.soc.model": "SD000",
            "ro.build.version.release": "14",
            "ro.build.fingerprint": "mnas/standin/1:14",
            "ro.product.cpu.abi": abis.partition(",")[0],
            "ro.product.cpu.abilist": abis,
        }
        self.write("properties", "".join(f"[{key}]: [{value}]\n" for key, value in properties.items()))

    def set_temperature(self, celsius: float, status: int = 0) -> None:
        self.write("dumpsys-thermalservice", THERMAL.format(celsius=celsius, status=status))

    def set_clock(self, core: int, name: str, value: str) -> None:
        self.write(f"sys/devices/system/cpu/cpu{core}/cpufreq/{name}", value)

    def folders(self) -> list[Path]:
        """What mnas has on it."""
        return sorted((self.sandbox / "data/local/tmp").iterdir())

    def lines(self, name: str) -> list[str]:
        """Of the logs `commands` and `tool_runs`."""
        path = self.sandbox / name
        return path.read_text().splitlines() if path.exists() else []
