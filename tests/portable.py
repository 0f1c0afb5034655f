"""Run the numerical tests as other processors would: one setting changed at a time.

Kernels are chosen by the processor's instructions, and each rounds in an order of its
own. What this machine cannot lower, or does not have, is named and left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

TESTS = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "numerical"]


def lacking() -> dict[tuple[str, str], str]:
    """Return every setting, and why it cannot be tried here; empty if it can."""
    simd = torch.backends.cpu.get_cpu_capability()  # what is not lowered
    avx2 = "" if simd.startswith("AVX") else f"the processor has {simd} instructions"
    onednn = avx2 or ("" if torch.backends.mkldnn.is_available() else "torch is without oneDNN")
    mkl = avx2 or ("" if torch.backends.mkl.is_available() else "torch is without MKL")
    cpu = Path("/proc/cpuinfo")
    if not mkl and not (cpu.exists() and "GenuineIntel" in cpu.read_text(encoding="utf-8")):
        mkl = "MKL reads it on Intel's processors alone"
    return {
        ("ATEN_CPU_CAPABILITY", "default"): "",
        ("ATEN_CPU_CAPABILITY", "avx2"): avx2,
        ("MKL_ENABLE_INSTRUCTIONS", "AVX2"): mkl,
        ("ONEDNN_MAX_CPU_ISA", "AVX2"): onednn,
        ("OMP_NUM_THREADS", "2"): "",
        ("OMP_NUM_THREADS", "3"): "",
    }


def main() -> int:
    """Try all settings; return how many fail."""
    settings = lacking()
    plain = {name: value for name, value in os.environ.items() if (name, value) not in settings}
    plain.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # there are more threads than cores
    verdicts = {}
    for (name, value), reason in settings.items():
        print(f"\n{name}={value}: " + (f"SKIPPED, {reason}" if reason else ""), flush=True)
        done = None if reason else subprocess.run(TESTS, env={**plain, name: value}, check=False)
        passed = "SKIPPED" if done is None else "FAILED" if done.returncode else "passed"
        verdicts[f"{name}={value}"] = passed
    print()
    for setting, verdict in verdicts.items():
        print(f"{verdict:8} {setting}")
    return list(verdicts.values()).count("FAILED")


if __name__ == "__main__":
    sys.exit(main())
