"""The `cmake` that Horovod 0.28.1's setup.py is told to run (HOROVOD_CMAKE), so that it builds beside a current torch.

Horovod's last release asks for C++14, looks for CUDA under one folder and takes no CMake options of ours.  Its one hook
is the name of the cmake program.  On the configure call (the one whose first argument is a folder) this stand-in
raises the C++ standard, lays out the CUDA toolkit and NCCL of the nvidia wheels as one tree, asks for run paths
relative to the installed library, then calls the real cmake with everything it was given.
"""

import os
import sys
import sysconfig
import tempfile
from pathlib import Path

STANDARD_LINES = {  # file: how many lines set the standard; anything else is a Horovod this was not written for
    "CMakeLists.txt": 1,
    "horovod/torch/CMakeLists.txt": 1,
}
RUN_PATHS = ["../../../..", "../../torch/lib", "../../nvidia/nccl/lib", "../../nvidia/cu13/lib"]


class UnexpectedSourceError(Exception):
    """The Horovod sources are not those of 0.28.1."""


def raise_standard(source: Path) -> None:
    """Set C++20, which torch's headers need, where Horovod asks for C++14.

    Raises:
        UnexpectedSourceError: a file does not have the lines that 0.28.1 has.
    """
    old, new = "CMAKE_CXX_STANDARD 14", "CMAKE_CXX_STANDARD 20"
    for name, expected in STANDARD_LINES.items():
        file = source / name
        text = file.read_text()
        if text.count(new) == expected and old not in text:
            continue  # configured before
        if text.count(old) != expected:
            raise UnexpectedSourceError(f"{file}: expected {expected} line with '{old}', found {text.count(old)}")
        file.write_text(text.replace(old, new))


def link_tree(site: Path, tree: Path) -> None:
    """Make a CUDA_HOME and an NCCL home of symbolic links to the nvidia wheels under site.

    The wheels carry versioned library names only; linkers look for the bare ones.
    """
    cuda, nccl = site / "nvidia" / "cu13", site / "nvidia" / "nccl"
    (tree / "lib64").mkdir(parents=True)
    (tree / "nccl" / "lib").mkdir(parents=True)
    for name in ("bin", "nvvm", "include"):
        (tree / name).symlink_to(cuda / name)
    for library in (cuda / "lib").iterdir():
        (tree / "lib64" / library.name).symlink_to(library)
    (tree / "lib").symlink_to(tree / "lib64")  # where nvcc.profile looks
    (tree / "lib64" / "libcudart.so").symlink_to(cuda / "lib" / "libcudart.so.13")
    (tree / "nccl" / "lib" / "libnccl.so").symlink_to(nccl / "lib" / "libnccl.so.2")
    (tree / "nccl" / "include").symlink_to(nccl / "include")


def gpu_environment(site: Path) -> dict[str, str]:
    """The variables that make Horovod compile its NCCL operations, or none where the CUDA wheels are absent."""
    if not (site / "nvidia" / "cu13" / "bin" / "nvcc").exists():
        return {}
    tree = Path(tempfile.mkdtemp(prefix="cuda-home-"))
    link_tree(site, tree)
    return {
        "CUDA_HOME": str(tree),
        "HOROVOD_CUDA_HOME": str(tree),
        "HOROVOD_NCCL_HOME": str(tree / "nccl"),
        "PATH": f"{tree / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }


def options() -> list[str]:
    """CMake options: run paths relative to the library, and symbols stripped (78 MB -> 3 MB)."""
    paths = ";".join(f"$ORIGIN/{path}" for path in RUN_PATHS)
    return [
        "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
        f"-DCMAKE_INSTALL_RPATH={paths}",
        "-DCMAKE_SHARED_LINKER_FLAGS=-Wl,--strip-all",
        "-DCMAKE_MODULE_LINKER_FLAGS=-Wl,--strip-all",
    ]


def main() -> None:
    """Run cmake with the arguments given, prepared as above when it configures."""
    arguments, environment = sys.argv[1:], dict(os.environ)
    if arguments and Path(arguments[0]).is_dir():
        site = Path(sysconfig.get_path("purelib"))
        raise_standard(Path(arguments[0]))
        environment |= gpu_environment(site)
        arguments += options()
        print(f"horovod-cmake: CUDA {'from wheels' if 'CUDA_HOME' in environment else 'absent: CPU only'}", flush=True)
    os.execvpe("cmake", ["cmake", *arguments], environment)  # noqa: S606, S607 - the real one, found on PATH


if __name__ == "__main__":
    main()
