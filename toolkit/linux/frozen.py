"""Memory that is frozen, so that a process which waits can do without it.

`freeze` has the private memory of a process mapped from a sealed file that has
the same bytes.  All looks as before, but now the kernel can tell what has been
changed since, here and in every child.  `sleep` keeps the few words that differ
from the file, gives everything else back, the program's own code too, waits as
ppoll(2) does, and puts the words back; pages come again from the file as they
are touched.

Python changes memory as it runs.  So what does this is machine code
(toolkit/linux/freeze/*.S) that uses registers, the stack and a *bed*: memory of
its own, laid out here.

Not for processes with threads, nor where somebody counts on MADV_DONTNEED for
zeros (the C library does so in the heaps of threads only, Python not at all).

See Also:
    adr/0025-monitors-that-sleep.md
"""

import ctypes
import errno
import os
import struct
from _thread import _count as count_threads

from toolkit.core.errors import UnsupportedError
from toolkit.linux import machinecode, memfd, memorymap, signals
from toolkit.linux.libc import MACHINE, c_int, c_long, c_size_t, c_ulong, c_void_p, function
from toolkit.linux.memorymap import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CODE = {
    "x86_64": bytes.fromhex(
        "53554889fb4889fd89f7488b334885f67425488b53084c8b5310b8120000000f054885c07e424801c64901c24829c275e948"
        "83c320ebd34189f8488b7d0031c04885ff7423488b75088b551841ba120000004c8b4d10b8090000000f054885c078064883"
        "c520ebd25d5bc366662e0f1f840000000000662e0f1f840000000000535541544155415641574889fbb80e00000031ff488d"
        "7360488d536841ba080000000f05bd01000000b80d00000089ef31f6488d537041ba080000000f0548c7c0f0ffffff48837b"
        "70010f8733020000ffc583fd4076d24c8b7b0848c7c0e4ffffff488b53104c29fa0f861402000031c08b7b384c89fe0f0548"
        "85c00f88010200004901c74885c075d14c8b2b4c8b73084c8b6320498b6d004885ed0f841b01000049837d10000f84fb0000"
        "00e8070200000f85f0000000498b5500490355084829ea0f84df0000008b4b3048d3eab8000200004839c2480f47d048c1e2"
        "034989ea49d3ea49c1e203b8110000008b7b40488b73180f054839d048c7c0fbffffff0f857c0100004c8b43184d8d0c1049"
        "8b004983c0088b4b30bf0100000048d3e74801ef480fbae03d726c48c1e83e74664889ee492b750049037510488b4500483b"
        "06750f4883c5084883c6084839fd72eaeb434d89e349892c244983c4084c3b6328734c498904244983c4084883c5084883c6"
        "084839fd7309488b4500483b0675dc498d4c24f84c29d948c1e12d49090b4839fd72a54889fd4d39c80f826cffffffe910ff"
        "ffff4983c528e9e4feffff48c7c0e4ffffffe9c60000004c89e0482b4320488983b80000004c8b2b4c8b7308498b7d004885"
        "ff741ae8d9000000750d498b7d00498b7508e8bd0000004983c528ebdd8b4b304889e748d3ef48d3e7be000008004829f7e8"
        "9e0000004c8dab90000000498b7d004885ff740f498b7508e8850000004983c510ebe8b80f010000488b7b488b7350488b53"
        "584c8d536841b8080000000f054889c5488b73204c39e6731b488b0e4883c6084889cf48c1e71048c1ef1048c1e930f348a5"
        "ebe0488b7b20488b73284829fee82c0000004889e84889c5b80e000000bf02000000488d736831d241ba080000000f054889"
        "e8415f415e415d415c5d5bc3b81c000000ba040000000f05c34c89f24c39fa731e498b7518498b4d204889d7f3a6740b803a"
        "0a488d520175f7ebe14989d6c383ca01c3"
    ),
    "aarch64": bytes.fromhex(
        "e90300aaea0300aaeb03012a210140f9a10100b4228d40a9880880d2e0030b2a010000d41f0000f16d0200542100008b6300"
        "008b420000eb01ffff5429810091f3ffff17400140f9600100b4410540f9421940b9430280d2e4030b2a450940f9c81b80d2"
        "010000d46000f8b74a810091f5ffff17c0035fd61f2003d51f2003d5f353bba9f55b01a9f76302a9f96b03a9fe2300f9f303"
        "00aa741a40f9e81080d2000080d26182019162a20191030180d2010000d435008052c81080d2e003152a010080d262c20191"
        "030180d2010000d4e0018092613a40f93f0400f1e8110054b5060011bf02017189feff54760640f960038092620a40f94200"
        "16ebe9100054e80780d2603a40b9e10316aa010000d44010f8b7d602008bc0feffb5770240f9780640f9791240f9711640f9"
        "f50240f9350900b4e00a40f9600800b48900009421080054e00640a90200018b420015eba00700544224d49a034080d25f00"
        "03eb4230839a42f07dd3a326d49a63f07dd3680880d2604240b9610e40f9010000d41f0002eb80008092810c0054e90301aa"
        "2a00028b208540f82b0080d26b21d49a6b01158b8004e8b700fc7ed3400400b4e10240f9ec0a40f9a10201cb8c01018ba002"
        "40f9810140f91f0001ebc1000054b52200918c210091bf020beb23ffff5415000014ed0319aa358700f83f0311ebe2020054"
        "208700f8b52200918c210091bf020beba2000054a00240f9810140f91f0001ebc1feff5421030dcb212000d1a00140f900b4"
        "01aaa00100f9bf020beb83fcff54f5030baa3f010aebc3faff54c1ffff17f7a20091b9ffff176003809232000014601240f9"
        "200300cb605e00f9770240f9780640f9e00240f9e00000b43c00009461000054e00640a935000094f7a20091f9ffff17e003"
        "00910024d49a0020d49a0101a0d2000001cb2d00009477420291e00240f9a00000b4e10640f928000094f7420091fbffff17"
        "280980d2602640f9615240b9622e40f963a20191040180d2010000d4f50300aa611240f93f0019eb22010054228440f840bc"
        "40d342fc70d3238440f8038400f8420400f1a1ffff54f7ffff17601240f9210200cb10000094e00315aaf50300aae81080d2"
        "400080d261a20191020080d2030180d2010000d4e00315aafe2340f9f96b43a9f76342a9f55b41a9f353c5a8c0035fd6281d"
        "80d2820080d2010000d4c0035fd6e20318aa5f0016ebe2010054e39241a9e50302aa66144038a7144038df00076ba1000054"
        "840400f161ffff54f80302aac0035fd646144038df280071c1ffff54f1ffff175f0000f1c0035fd6"
    ),
}
"""What GNU as makes of toolkit/linux/freeze/MACHINE.S."""
_FREEZE_AT, _SLEEP_AT = 0, 128
NAME = "frozen"
"""The file's, which /proc/PID/maps shows as /memfd:frozen (deleted)."""
KEPT_BYTES = 1 << 20
"""Whose memory differs in more does not sleep."""
_TEXT_BYTES, _ENTRIES_BYTES = 96 << 10, 4096
_SPARE_BYTES = 1 << 30
"""A hole behind the end: a mapping that the C library lengthens (mremap) must not get beyond the file."""
_MOST_BYTES, _MOST_REGIONS = 64 << 20, 1000
_MOST_WAITED = 32
_PROT_READ, _PROT_WRITE = 1, 2
_MAP_PRIVATE = 2
_MADV_POPULATE_READ = 22
_M_TRIM_THRESHOLD = -1
_WORD_BYTES = 8
_ALL_SIGNALS = (1 << 64) - 1
_REGION, _RECORD = struct.Struct("@4Q"), struct.Struct("@5Q")

_madvise = function("madvise", c_void_p, c_size_t, c_int)
_pthread_self = function("pthread_self", restype=c_ulong)


class _Waited(ctypes.Structure):
    """struct pollfd."""

    _fields_ = (("fd", c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


class _Bed(ctypes.Structure):
    """What the machine code works with, see there."""

    _fields_ = (
        ("records", c_ulong),
        ("text", c_ulong),
        ("text_end", c_ulong),
        ("entries", c_ulong),
        ("kept", c_ulong),
        ("kept_end", c_ulong),
        ("page_shift", c_ulong),
        ("maps_fd", c_long),
        ("pagemap_fd", c_long),
        ("waited", c_ulong),
        ("count", c_ulong),
        ("patience", c_ulong),
        ("all", c_ulong),
        ("mask", c_ulong),
        ("action", c_ulong * 4),
        ("spread", c_ulong * 5),
        ("used", c_ulong),
        ("patience_s", c_long),
        ("patience_ns", c_long),
        ("waiting", _Waited * _MOST_WAITED),
    )


class _State:
    """What this process, and each child, knows of its frozen memory; set before it is frozen."""

    bed: _Bed | None = None
    sleep: "Callable[[int], int]"


def freeze() -> None:
    """Freeze the memory of this process, once.  It and its children may sleep then.

    Raises:
        UnsupportedError: this machine has no code, or allows none that is made; there are threads; there is more
            memory than a process of ours has.
        OSError: of the calls that make and map the file, and read /proc.
    """
    code = CODE.get(MACHINE)
    if code is None:
        raise UnsupportedError(f"there is no code for {MACHINE}")
    if len(os.listdir("/proc/self/task")) > 1:
        raise UnsupportedError("there are threads")
    address = machinecode.load(code)
    if not address:
        raise UnsupportedError("this machine allows no code that is made")
    _keep_heap_whole()
    fd = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        bed, layout = _make_bed(fd)
        _State.sleep, _State.bed = ctypes.PYFUNCTYPE(c_long, c_ulong)(address + _SLEEP_AT), bed
        before = signals.pthread_sigmask(signals.SIG_BLOCK, signals.valid_signals())
        result = ctypes.PYFUNCTYPE(c_long, c_ulong, c_int)(address + _FREEZE_AT)(bed.text, fd)
        signals.pthread_sigmask(signals.SIG_SETMASK, before)
        if result < 0:
            _State.bed = None
            raise OSError(-result, os.strerror(-result))
        memfd.seal(fd)
    finally:
        os.close(fd)
    for start, size, _offset, _protection in layout.regions:
        try:
            _madvise(start, size, _MADV_POPULATE_READ)
        except OSError:
            break  # before Linux 5.14: then pages come as they are touched


def sleep(waiting: "dict[int, int]", patience_ms: float | None) -> bool:
    """Wait as poll(2) does, without the memory of this process; tell whether it could be given back.

    Where it could not, nobody has waited.

    Args:
        waiting: events by descriptor.
        patience_ms: how long at most; None: for ever.
    """
    bed = _State.bed
    if bed is None or count_threads() or len(waiting) > _MOST_WAITED:
        return False
    bed.count = len(waiting)
    for index, (fd, events) in enumerate(waiting.items()):
        bed.waiting[index] = fd, events
    if patience_ms is None:
        bed.patience = 0
    else:
        bed.patience = ctypes.addressof(bed) + _Bed.patience_s.offset
        bed.patience_s, bed.patience_ns = int(patience_ms // 1000), int(patience_ms % 1000 * 1e6)
    opened: list[int] = []
    try:
        for path in (memorymap.MAPS, memorymap.PAGEMAP):
            opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401 - the first is closed if the second fails
        bed.maps_fd, bed.pagemap_fd = opened
        result = _State.sleep(ctypes.addressof(bed))
    except OSError:
        return False  # no descriptor to be had
    finally:
        for fd in opened:
            os.close(fd)
    return result >= 0 or result == -errno.EINTR


class _Layout:
    """What goes where in the file: regions, a page between two (else the kernel makes one of them), and tables."""

    def __init__(self, device: int, inode: int, page_bytes: int) -> None:
        self.offset = 0
        self.regions: list[tuple[int, int, int, int]] = []
        """Address, bytes, offset, protection."""
        self._records: list[tuple[int, int, int, bytes]] = []
        """Address, bytes, offset (-1: has no private pages), line of the map."""
        self._file = f"{os.major(device):02x}:{os.minor(device):02x} {inode} "
        self._page_bytes = page_bytes

    def freeze(self, mapping: Mapping) -> None:
        """Have this mapping frozen."""
        size = mapping.end - mapping.start
        is_writable = "w" in mapping.permissions
        addresses = f"{mapping.start:08x}-{mapping.end:08x}"
        line = f"{addresses} {mapping.permissions} {self.offset:08x} {self._file}".encode()
        self.regions.append((mapping.start, size, self.offset, _PROT_READ | (is_writable and _PROT_WRITE)))
        self._records.append((mapping.start, size, self.offset if is_writable else -1, line))
        self.offset += size + self._page_bytes

    def give_back(self, mapping: Mapping) -> None:
        """Have this mapping, which is that of a file, given back."""
        self._records.append((mapping.start, mapping.end - mapping.start, -1, mapping.line))

    @property
    def size(self) -> int:
        """The whole file's, in bytes."""
        return self.offset + sum(_RECORD.size + len(line) for *_, line in self._records) + _RECORD.size

    def tables(self, image: int) -> bytes:
        """Return what stands at `offset`, for a file that is mapped at `image`."""
        lines = b"".join(line for *_, line in self._records)
        at = image + self.size - len(lines)
        packed = b""
        for start, size, offset, line in self._records:
            packed += _RECORD.pack(start, size, image + offset if offset >= 0 else 0, at, len(line))
            at += len(line)
        return packed + bytes(_RECORD.size) + lines


def _make_bed(fd: int) -> tuple[_Bed, _Layout]:
    """Make the bed, with the table of regions in the room for text, and the file's tables; return what is where."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    head = -(-ctypes.sizeof(_Bed) // page_bytes) * page_bytes
    room = machinecode.room(head + KEPT_BYTES + _TEXT_BYTES + _ENTRIES_BYTES)
    layout = _lay_out(fd, room, page_bytes)
    os.ftruncate(fd, layout.size + _SPARE_BYTES)
    image = machinecode.mmap(None, layout.size, _PROT_READ, _MAP_PRIVATE, fd, 0)
    os.pwrite(fd, layout.tables(image), layout.offset)
    bed = _Bed.from_address(room)
    bed.records = image + layout.offset
    bed.kept = room + head
    bed.text = bed.kept + KEPT_BYTES
    bed.kept_end = bed.text - _WORD_BYTES
    bed.entries = bed.text_end = bed.text + _TEXT_BYTES
    bed.page_shift = page_bytes.bit_length() - 1
    bed.waited = room + _Bed.waiting.offset
    bed.all = _ALL_SIGNALS
    bed.spread[:] = bed.text, _TEXT_BYTES + _ENTRIES_BYTES, image, layout.size, 0
    table = b"".join(_REGION.pack(*region) for region in layout.regions) + bytes(_REGION.size)
    ctypes.memmove(bed.text, table, len(table))
    return bed, layout


def _lay_out(fd: int, room: int, page_bytes: int) -> _Layout:
    """Say what of this process's memory goes where in the file, and what else can be given back."""
    found = os.fstat(fd)
    layout = _Layout(found.st_dev, found.st_ino, page_bytes)
    kept = _of_thread(page_bytes)
    pages = memorymap.open_pages()
    for mapping in memorymap.read():
        if mapping.start == room:
            continue
        is_changed = memorymap.has_private(pages, mapping, page_bytes)
        if _is_to_be_frozen(mapping, is_changed=is_changed):
            for start, end in memorymap.without(mapping, kept):
                layout.freeze(mapping._replace(start=start, end=end))
        elif not is_changed and _is_of_file(mapping):
            layout.give_back(mapping)
    os.close(pages)
    if layout.size > _MOST_BYTES or len(layout.regions) > _MOST_REGIONS:
        raise UnsupportedError(f"there are {layout.size} bytes in {len(layout.regions)} mappings")
    return layout


def _keep_heap_whole() -> None:
    """Have the C library not cut the heap where its end is free: that would be another mapping, and not given back.

    See Also:
        mallopt(3)
    """
    try:
        mallopt = function("mallopt", c_int, c_int)
    except AttributeError:
        return  # not glibc
    mallopt(_M_TRIM_THRESHOLD, _MOST_BYTES)


def _of_thread(page_bytes: int) -> range:
    """Return the pages that the kernel writes to while this thread runs (rseq), and what the C library has there."""
    thread: int = _pthread_self()
    try:
        rseq = thread + c_long.in_dll(ctypes.CDLL(None), "__rseq_offset").value
    except ValueError:
        rseq = thread  # before glibc 2.35
    first = min(thread, rseq) // page_bytes
    return range(first * page_bytes, (max(thread, rseq) // page_bytes + 2) * page_bytes)


def _is_to_be_frozen(mapping: Mapping, *, is_changed: bool) -> bool:
    """Tell whether it is private memory that programs write to, or have written to before it was protected."""
    is_known = not mapping.name or mapping.name.startswith(("/", "[heap]", "[anon"))
    return is_known and (mapping.permissions == "rw-p" or (is_changed and mapping.permissions == "r--p"))


def _is_of_file(mapping: Mapping) -> bool:
    """Tell whether its pages, unchanged, come again from a file."""
    return mapping.permissions in ("r--p", "r-xp") and mapping.name.startswith("/")
