"""Wheels for another machine: which fit, and how to get them."""

from __future__ import annotations

from packaging.utils import InvalidWheelFilename, parse_wheel_filename


def misfit(name: str, machine: str, python: str) -> str | None:
    """Why a wheel of that file name does not fit; None: it does.

    `machine` as `platform.machine()` says there ("aarch64"), `python` as "311".
    """
    try:
        _, _, _, tags = parse_wheel_filename(name)
    except InvalidWheelFilename as error:
        return f"{name} is no wheel ({error})"
    for tag in tags:
        fits_machine = tag.platform == "any" or tag.platform.endswith(f"_{machine}")
        fits_python = tag.interpreter in ("py3", "py2.py3", f"py{python}", f"cp{python}")
        is_stable = tag.abi == "abi3" and int(tag.interpreter[2:] or 0) <= int(python)
        if fits_machine and (fits_python or is_stable):
            return None
    wanted = ", ".join(sorted({f"{tag.interpreter} on {tag.platform}" for tag in tags}))
    return f"{name} is for {wanted}, and does not fit Python {python[0]}.{python[1:]} on {machine}, which is"


def download_command(package: str, machine: str, python: str) -> str:
    """What to type here to get a package's wheels for such a machine."""
    return (
        f"pip download {package} --only-binary=:all: --platform manylinux_2_28_{machine} "
        f"--platform manylinux_2_27_{machine} --platform manylinux_2_17_{machine} --python-version {python} -d wheels"
    )
