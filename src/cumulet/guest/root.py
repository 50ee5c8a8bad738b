# SPDX-License-Identifier: Apache-2.0
"""The guest's root tree and initial RAM disk, put together from unpacked packages and our own files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from cumulet.guest import recipe
from cumulet.guest.cpio import Archive
from cumulet.guest.packages import GuestBuildError
from cumulet.kernel.run import run

FILES = Path(__file__).parent / "files"
_LIBRARY = re.compile(r"^\s*(\S+) => (.+?) \(0x", re.MULTILINE)
_MISSING = re.compile(r"^\s*(\S+) => not found", re.MULTILINE)


def make_root(packages: Path, root: Path, release: str) -> None:
    """Fill the folder `root` with what the guest sees as `/`; `release` names the kernel in `packages`."""
    for name in recipe.FOLDERS:
        (root / name).mkdir(parents=True)
    _programs(packages, root)
    _libraries(packages, root)
    _own_files(root)
    _bundle_authorities(packages, root)
    shutil.copy(packages / "etc" / "mke2fs.conf", root / "etc" / "mke2fs.conf")
    for name, target in recipe.LINKS.items():
        link = root / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    copy_modules(packages, root / "usr", release, recipe.MODULES)
    for name, mode in recipe.MODES.items():
        (root / name).chmod(mode)


def make_ramdisk(packages: Path, scratch: Path, release: str) -> bytes:
    """The initial RAM disk, zstd-compressed: a shell, the modules for disks, one script."""
    modules = scratch / "ramdisk"
    copy_modules(packages, modules, release, recipe.BOOT_MODULES)
    archive = Archive()
    for name in ("dev", "proc", "root", "sys"):
        archive.folder(name)
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", _static_busybox(packages).read_bytes(), 0o755)
    archive.file("init", (FILES / "boot" / "init").read_bytes(), 0o755)
    archive.tree(modules)
    return run(["zstd", "-19", "-q", "-c"], stdin=archive.finish(), timeout=120).stdout


def copy_modules(packages: Path, target: Path, release: str, names: tuple[str, ...]) -> None:
    """Copy kernel modules with all that they need to `target`/lib/modules/`release` and index them there."""
    source = packages / "lib" / "modules" / release
    folder = target / "lib" / "modules" / release
    folder.mkdir(parents=True)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(source / name, folder / name)
    if not (source / "modules.dep").exists():
        run(["depmod", "-b", packages, release], timeout=120)
    needs: dict[str, list[str]] = {}
    for line in (source / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    by_name = {Path(path).stem.replace("-", "_"): path for path in needs}
    for name in names:
        try:
            path = by_name[name.replace("-", "_")]
        except KeyError:
            raise GuestBuildError(f"the kernel {release} has no module {name}") from None
        for item in (path, *needs[path]):
            (folder / item).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / item, folder / item)
    run(["depmod", "-b", target, release], timeout=120)
    for name in ("modules.symbols", "modules.symbols.bin", "modules.devname", "modules.softdep"):
        (folder / name).unlink(missing_ok=True)


def _static_busybox(packages: Path) -> Path:
    return packages.with_name("static") / recipe.STATIC_BUSYBOX


def _programs(packages: Path, root: Path) -> None:
    """Programs of the packages, then a link for each of busybox's that no package gave."""
    folder = root / "usr" / "bin"
    shutil.copy(packages / "bin" / "busybox", folder / "busybox")
    shutil.copy(_static_busybox(packages), root / "usr" / "libexec" / "guest" / "sh")
    for name in recipe.PROGRAMS:
        shutil.copy(packages / name, folder / Path(name).name)
    for applet in run([packages / "bin" / "busybox", "--list"]).stdout.decode().split():
        if not (folder / applet).exists():
            (folder / applet).symlink_to("busybox")


def _libraries(packages: Path, root: Path) -> None:
    """The loader, plug-ins, and every library that a program or plug-in asks for: the loader itself lists them."""
    (root / recipe.LOADER.replace("lib64", "usr/lib64")).write_bytes(_loader(packages).read_bytes())
    (root / recipe.LOADER.replace("lib64", "usr/lib64")).chmod(0o755)
    for name, target in recipe.PLUGINS.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(packages / name, root / target)
    folders = ":".join(str(packages / name) for name in recipe.LIBRARY_FOLDERS)
    for name in ("bin/busybox", *recipe.PROGRAMS, *recipe.PLUGINS):
        words: list[str | Path] = [
            _loader(packages),
            "--inhibit-cache",
            "--library-path",
            folders,
            "--list",
            packages / name,
        ]
        answer = run(words, check=False)
        text = answer.stdout.decode()
        missing = _MISSING.findall(text)
        if missing or answer.returncode:
            raise GuestBuildError(f"{name} wants {', '.join(missing) or answer.stderr.decode()}: add its package")
        for library, path in _LIBRARY.findall(text):
            if not path.startswith(str(packages)):
                raise GuestBuildError(f"{name} wants {library}, which only this machine has: add its package")
            if not library.startswith("/") and "ld-linux" not in library:
                shutil.copy(path, root / "usr" / "lib" / "x86_64-linux-gnu" / library)


def _loader(packages: Path) -> Path:
    """The packages' own dynamic loader; its link is absolute, so it is followed by hand."""
    return packages / str((packages / recipe.LOADER).readlink()).lstrip("/")


def _own_files(root: Path) -> None:
    """Our configuration and scripts; what begins with `#!` is executable, however this package was installed."""
    for source in sorted(FILES.rglob("*")):
        name = source.relative_to(FILES)
        if source.is_dir() or name.parts[0] == "boot":
            continue
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        content = source.read_bytes()
        target.write_bytes(content)
        target.chmod(0o755 if content.startswith(b"#!") else 0o644)


def _bundle_authorities(packages: Path, root: Path) -> None:
    """Write the certificate authorities into the one file where OpenSSL looks for them."""
    sources = sorted((packages / "usr" / "share" / "ca-certificates" / "mozilla").glob("*.crt"))
    target = root / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"".join(path.read_bytes() for path in sources))
