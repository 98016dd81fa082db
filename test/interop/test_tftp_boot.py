"""A machine boots Linux over the network from our server. The TFTP client in its
boot ROM (iPXE) loads the kernel and the initial file system, or its firmware does
(EDK2, which asks for the size first and aborts that transfer) with GRUB. Another
machine has U-Boot, whose block and window size are configurable.

The machine is emulated without hardware support, in a network namespace that
contains only the machine, our server and dnsmasq for DHCP.
"""
import os
import pathlib
import select
import shutil
import subprocess
import zlib

import pytest

from theirs import listens, running
from tftp_theirs import PEERS, content

NAME, ADDRESS, PREFIX6 = "boot0", "10.9.8.1", "fd00:9:8:7"
BOOT_S = 100
INIT = pathlib.Path(__file__).with_name("init.c")
GRUB = PEERS / "grub-efi-amd64-bin/usr/lib/grub/x86_64-efi/monolithic/grubnetx64.efi"
OVMF = PEERS / "ovmf/usr/share/ovmf/OVMF.fd"
U_BOOT = PEERS / "u-boot-qemu/usr/lib/u-boot/qemu-x86/u-boot.rom"
QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-display", "none",
        "-serial", "stdio", "-no-reboot", "-boot", "n",
        "-netdev", f"tap,id=lan,ifname={NAME},script=no,downscript=no"]
KERNEL = next(PEERS.glob("linux-image-*/boot/vmlinuz-*"), None)
# On a busy host the emulated timer is late, and Linux would think it broken.
KERNEL_OPTIONS = "console=ttyS0 panic=-1 quiet no_timer_check"

pytestmark = [
    pytest.mark.skipif(not shutil.which(QEMU[0]), reason="no qemu-system-x86_64 here"),
    pytest.mark.skipif(not os.access("/dev/net/tun", os.W_OK), reason="/dev/net/tun is not ours"),
]
need_kernel = pytest.mark.skipif(not KERNEL, reason="no kernel unpacked")


@pytest.fixture
def lan(netns):
    """Our end of the machine's network card."""
    for words in (f"tuntap add dev {NAME} mode tap", f"addr add {ADDRESS}/24 dev {NAME}",
                  f"link set {NAME} up"):
        subprocess.run(["ip", *words.split()], check=True)
    # Without IPv6: iPXE would wait long for a router.
    subprocess.run(["ip", "addr", "add", f"{PREFIX6}::1/64", "dev", NAME, "nodad"], check=False,
                   stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def blob():
    return content(4 << 20)


@pytest.fixture
def root(tmp_path, blob):
    """A folder with a kernel and an initial file system."""
    tree, root = tmp_path / "tree", tmp_path / "root"
    tree.mkdir()
    root.mkdir()
    (tree / "blob").write_bytes(blob)
    subprocess.run(["cc", "-O2", "-static", "-o", tree / "init", INIT], check=True)
    with open(root / "initrd", "wb") as archive:
        subprocess.run([PEERS / "busybox-static/bin/busybox", "cpio", "-o", "-H", "newc"],
                       input=b"init\nblob\n", stdout=archive, stderr=subprocess.DEVNULL, cwd=tree,
                       check=True)
    shutil.copy(KERNEL, root / "vmlinuz")
    return root


def dhcp(folder, boot_file):
    """dnsmasq as DHCP server: names the file to boot, and serves no files."""
    command = ["dnsmasq", "-k", "-C", "/dev/null", "--port=0", "--user=root", "--pid-file",
               f"--interface={NAME}", "--except-interface=lo", "--bind-interfaces",
               "--dhcp-range=10.9.8.50,10.9.8.60,255.255.255.0", "--no-ping", "--enable-ra",
               f"--dhcp-range={PREFIX6}::,ra-only", f"--dhcp-boot={boot_file},,{ADDRESS}",
               f"--dhcp-leasefile={folder}/leases", "--log-facility=-"]
    return running(command, lambda: listens("udp", 67), stdout=subprocess.DEVNULL)


def boot(tmp_path, boot_file, *options):
    """The output on the serial line until the machine switches off."""
    with dhcp(tmp_path, boot_file):
        done = subprocess.run([*QEMU, *options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=BOOT_S)
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    return done.stdout.decode(errors="replace")


def booted(blob):
    return f"booted: blob {zlib.adler32(blob):08x}"


class Console:
    """The serial line of a machine that reads commands."""

    def __init__(self, *options):
        self.process = subprocess.Popen([*QEMU, *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        self.read = b""

    def until(self, word):
        """The output up to and including the word."""
        while word not in self.read:
            assert select.select([self.process.stdout], [], [], BOOT_S)[0], self.read
            part = os.read(self.process.stdout.fileno(), 4096)
            assert part, self.read
            self.read += part
        said, _, self.read = self.read.partition(word)
        return said

    def command(self, words):
        self.process.stdin.write(words.encode() + b"\n")
        return self.until(b"\n=> ")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@need_kernel
def test_ipxe(serve, lan, root, blob, tmp_path):
    serve("tftp", f"udp://{ADDRESS}:69", "--root", root)
    (root / "boot.ipxe").write_text(f"#!ipxe\nkernel vmlinuz {KERNEL_OPTIONS}\n"
                                    "initrd initrd\nboot\n")
    assert booted(blob) in boot(tmp_path, "boot.ipxe", "-device", "virtio-net-pci,netdev=lan")


@need_kernel
@pytest.mark.skipif(not GRUB.exists() or not OVMF.exists(), reason="no GRUB or OVMF unpacked")
def test_uefi_and_grub(serve, lan, root, blob, tmp_path):
    server = serve("tftp", f"udp://{ADDRESS}:69", "--root", root)
    shutil.copy(GRUB, root)
    (root / "grub").mkdir()
    (root / "grub" / "grub.cfg").write_text(f"linux vmlinuz {KERNEL_OPTIONS}\n"
                                            "initrd initrd\nboot\n")
    said = boot(tmp_path, GRUB.name, "-bios", OVMF, "-device", "virtio-rng-pci",
                "-device", "virtio-net-pci,netdev=lan,romfile=")  # EDK2's driver, not iPXE's
    assert booted(blob) in said
    assert len(server.wait_log(rf"get \"{GRUB.name}\" .* probe code=8")) == 1
    assert server.wait_log(rf"get \"{GRUB.name}\" .* windowsize=4 .* done$")


@pytest.mark.skipif(not U_BOOT.exists(), reason="no U-Boot unpacked")
@pytest.mark.parametrize("block, window", [(512, 1), (1468, 16), (1468, 64), (1468, 3)])
def test_u_boot(serve, lan, tmp_path, block, window):
    data = content(3 << 20)
    (tmp_path / "file").write_bytes(data)
    server = serve("tftp", f"udp://{ADDRESS}:69", "--root", tmp_path)
    with Console("-bios", U_BOOT, "-device", "e1000,netdev=lan,romfile=") as console:
        console.until(b"autoboot")
        console.process.stdin.write(b" ")
        console.until(b"=> ")
        for words in ("ipaddr 10.9.8.2", f"serverip {ADDRESS}", "netmask 255.255.255.0",
                      f"tftpblocksize {block}", f"tftpwindowsize {window}"):
            console.command(f"setenv {words}")
        said = console.command("tftpboot 0x2000000 file")
        assert f"Bytes transferred = {len(data)} ".encode() in said, said
        assert b"T " not in said.partition(b"Loading")[2], "it has waited for a time-out"
        said = console.command("crc32 0x2000000 ${filesize}")
        assert f"==> {zlib.crc32(data):08x}".encode() in said, said
    granted = f"blksize={block} .*" + (f"windowsize={window} .*" if window > 1 else "")
    assert server.wait_log(granted + " done$")
