#!/usr/bin/env bash
# An ARM machine's Python and the runtime's wheels in a folder, for tests/devices/test_ssh_arm.py to run under qemu.
# On Debian, as root: apt-get install qemu-user-static; scripts/arm_root.sh FOLDER
set -euo pipefail
folder=$(mkdir -p "${1:?usage: scripts/arm_root.sh FOLDER}" && cd "$1" && pwd)
packages="libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1
  libcrypt1 libncursesw6 libtinfo6 libreadline8 libpython3.11-minimal libpython3.11-stdlib python3.11-minimal python3.11"
dpkg --add-architecture arm64
apt-get update -qq
mkdir -p "$folder/packages" "$folder/root" "$folder/wheels"
(cd "$folder/packages" && for package in $packages; do apt-get download -qq "$package:arm64"; done)
for package in "$folder"/packages/*.deb; do dpkg -x "$package" "$folder/root"; done
# The wheels look for a CPU that they know, and crash where /proc/cpuinfo is another architecture's.
mkdir -p "$folder/root/proc"
printf 'processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41
CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n' > "$folder/root/proc/cpuinfo"
python3 -m pip download --quiet onnxruntime --only-binary=:all: --python-version 311 -d "$folder/wheels" \
  --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64
printf '#!/bin/sh\nexec qemu-aarch64-static -L %s %s/usr/bin/python3.11 "$@"\n' "$folder/root" "$folder/root" > "$folder/python"
chmod +x "$folder/python"
"$folder/python" -c 'import platform; print("ready:", platform.machine(), platform.python_version())'
