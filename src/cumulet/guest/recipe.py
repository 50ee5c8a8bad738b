# SPDX-License-Identifier: Apache-2.0
"""What goes into the guest image, as data: Debian packages, programs, kernel modules, modes."""

from __future__ import annotations

# The metapackage that names the newest kernel for clouds, and the packages whose files are taken.
KERNEL = "linux-image-cloud-amd64"
PACKAGES = (
    *("busybox", "busybox-static", "ca-certificates", "curl", "dropbear-bin", "e2fsprogs", "fdisk", "iputils-ping"),
    *("netcat-openbsd", "qemu-guest-agent", "sudo", "syslinux", "syslinux-common", "systemd-boot-efi"),
    *("dosfstools", "util-linux"),
    # Libraries of the programs below; a missing one is named by the build.
    *(
        "libapparmor1",
        "libaudit1",
        "libblkid1",
        "libbrotli1",
        "libbsd0",
        "libc6",
        "libcap-ng0",
        "libcap2",
        "libcom-err2",
    ),
    *("libcrypt1", "libcurl4", "libext2fs2", "libfdisk1", "libffi8", "libgcc-s1", "libglib2.0-0", "libgmp10"),
    *("libgnutls30", "libgssapi-krb5-2", "libhogweed6", "libidn2-0", "libk5crypto3", "libkeyutils1", "libkrb5-3"),
    *("libkrb5support0", "libldap-2.5-0", "libmd0", "libmount1", "libnettle8", "libnghttp2-14", "libnuma1"),
    *("libp11-kit0", "libpam-modules", "libpam0g", "libpcre2-8-0", "libpsl5", "libreadline8", "librtmp1"),
    *("libsasl2-2", "libselinux1", "libsmartcols1", "libss2", "libssh2-1", "libssl3", "libtasn1-6", "libtinfo6"),
    *("libtomcrypt1", "libtommath1", "libudev1", "libunistring2", "liburing2", "libuuid1", "libzstd1", "zlib1g"),
)

# Two busyboxes: the static one runs init and the boot scripts, fast, with its own applets; the other is the user's
# shell, because it looks programs up on the PATH first.
STATIC_BUSYBOX = "bin/busybox"
PROGRAMS = (
    *("usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/bin/dbclient", "sbin/mke2fs", "sbin/resize2fs", "sbin/e2fsck"),
    *(
        "bin/lsblk",
        "bin/ping",
        "sbin/blkid",
        "sbin/mkfs",
        "sbin/mkfs.fat",
        "sbin/sfdisk",
        "usr/bin/resizepart",
        "usr/bin/sudo",
        "bin/nc.openbsd",
    ),
    *("usr/bin/curl", "usr/sbin/qemu-ga"),
)
# Loaded by name at run time, so that no program's header asks for them.
PLUGINS = {
    "usr/libexec/sudo/sudoers.so": "usr/libexec/sudo/sudoers.so",
    "lib/x86_64-linux-gnu/security/pam_permit.so": "usr/lib/x86_64-linux-gnu/security/pam_permit.so",
}
LIBRARY_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/libexec/sudo")
LOADER = "lib64/ld-linux-x86-64.so.2"

# Where the root has one folder for programs and one for libraries.
LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/bin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "usr/sbin": "bin",
    "init": "usr/bin/init",
    "var/run": "/run",
    "etc/mtab": "/proc/mounts",
    "etc/udhcpc": "/usr/share/udhcpc",
    "usr/bin/init": "../libexec/guest/sh",
    "usr/libexec/guest/busybox/nc": "../../../bin/busybox",
    "usr/libexec/guest/openbsd/nc": "../../../bin/nc.openbsd",
    "usr/bin/ping6": "ping",
    "usr/bin/mkfs.ext2": "mke2fs",
    "usr/bin/mkfs.ext3": "mke2fs",
    "usr/bin/mkfs.ext4": "mke2fs",
    "usr/bin/mkfs.vfat": "mkfs.fat",
    "usr/bin/fsck.ext4": "e2fsck",
}
FOLDERS = (
    *("dev", "mnt", "opt", "proc", "root/.ssh", "run", "sys", "tmp", "etc/dropbear", "home/cirros/.ssh", "usr/bin"),
    *("usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/libexec/guest/busybox", "usr/libexec/guest/openbsd"),
    *("var/lib/guest", "var/log", "var/tmp"),
)
MODES = {
    "etc/shadow": 0o600,
    "etc/sudoers": 0o440,
    "home/cirros/.ssh": 0o700,
    "root": 0o700,
    "root/.ssh": 0o700,
    "tmp": 0o1777,
    "usr/bin/sudo": 0o4755,
    "var/tmp": 0o1777,
}
USER_HOME = "home/cirros"
USER_ID = 1000

# Modules of the kernel that must be there before the root is mounted, and all that are kept.
BOOT_MODULES = ("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "sd_mod", "ata_piix")
MODULES = (
    *BOOT_MODULES,
    *("8021q", "button", "evdev", "isofs", "nls_ascii", "nls_cp437", "nls_iso8859-1", "softdog", "sr_mod", "vfat"),
    *("virtio_balloon", "virtio_console", "virtio_input", "virtio_net", "virtio_rng", "virtiofs"),
)

ROOT_LABEL = "cirros-rootfs"
KERNEL_LINE = f"root=LABEL={ROOT_LABEL} console=tty1 console=ttyS0,115200 quiet"
