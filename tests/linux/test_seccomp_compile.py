"""The compiler, the profile and the cache, without libseccomp and without the kernel."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.seccomp import Call, simulate
from toolkit.core.errors import InvalidError, UnsupportedError
from toolkit.linux import libc
from toolkit.linux.capability import ALL, DEFAULT, NAMES, parse
from toolkit.linux.seccomp import apply, bpf, cache, profile, rules, search, table
from toolkit.linux.seccomp.compile import compile_filter
from toolkit.linux.seccomp.profile import DockerProfile, default_profile, resolve
from toolkit.linux.seccomp.rules import Argument, Filter, Rule

EPERM, ENOSYS = rules.ERRNO | 1, rules.ERRNO | 38


def verdict(program: bytes, name: str, *arguments: int, architecture: str = "x86_64") -> int:
    number = table.numbers(architecture)[name]
    return simulate(bpf.decode(program), Call(number, architecture, (*arguments, *[0] * (6 - len(arguments)))))


@pytest.fixture(scope="module")
def default() -> bytes:
    return compile_filter(default_profile(DEFAULT, "x86_64"), "x86_64")


def test_default_filter_is_compact(default: bytes) -> None:
    assert len(default) // 8 < 280


def test_same_rules_same_bytes(default: bytes) -> None:
    code = (
        "from toolkit.linux.seccomp.compile import compile_filter as c; "
        "from toolkit.linux.seccomp.profile import default_profile as d; "
        f"import sys; sys.stdout.buffer.write(c(d({DEFAULT}, 'x86_64'), 'x86_64'))"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout == default


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("read", (), rules.ALLOW),
        ("mount", (), EPERM),
        ("unshare", (0x10000000,), EPERM),
        ("keyctl", (), EPERM),
        ("add_key", (), EPERM),
        ("io_uring_setup", (), EPERM),
        ("bpf", (), EPERM),
        ("ptrace", (), rules.ALLOW),
        ("clone", (0x1200011,), rules.ALLOW),
        ("clone", (0x10000011,), EPERM),
        ("clone3", (), ENOSYS),
        ("personality", (0xFFFFFFFF,), rules.ALLOW),
        ("personality", (0x40000,), EPERM),
        ("socket", (2, 1, 0), rules.ALLOW),
        ("socket", (1, 1, 0), rules.ALLOW),
        ("socket", (16, 3, 0), rules.ALLOW),
        ("socket", (38, 5, 0), EPERM),
        ("socket", (40, 1, 0), EPERM),
        ("socket", ((1 << 32) + 38, 5, 0), EPERM),
        ("mseal", (), rules.ALLOW),
        ("open_tree_attr", (), ENOSYS),
    ],
)
def test_default_verdicts(default: bytes, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert verdict(default, name, *arguments) == expected


def test_calls_of_the_future_get_enosys(default: bytes) -> None:
    program = bpf.decode(default)
    assert simulate(program, Call(600, "x86_64")) == simulate(program, Call(600, "i386")) == ENOSYS
    assert simulate(program, Call(600 | table.X32_BIT, "x32")) == ENOSYS


@pytest.mark.parametrize("capability", list(profile.BY_CAPABILITY))
def test_a_capability_opens_its_calls(default: bytes, capability: str) -> None:
    opened = compile_filter(default_profile(DEFAULT | parse([capability]), "x86_64"), "x86_64")
    names = [name for name in profile.BY_CAPABILITY[capability].split() if name in table.numbers("x86_64")]
    assert names
    assert all(verdict(opened, name, 0x10000000) == rules.ALLOW for name in names)
    if not DEFAULT & parse([capability]):
        assert not all(verdict(default, name, 0x10000000) == rules.ALLOW for name in names)


def test_profile_names_only_calls_that_exist() -> None:
    assert rules.unknown_names(default_profile(ALL, "x86_64")) == ["riscv_hwprobe"]


def test_every_allowed_call_is_listed_once() -> None:
    assert len(profile.ALWAYS) == len(set(profile.ALWAYS)) == 361


def test_table_agrees_with_the_numbers_that_libc_uses() -> None:
    for machine in ("x86_64", "aarch64"):
        names = {**libc._NUMBERS[machine], **libc._COMMON}
        assert {name: table.numbers(machine).get(name) for name in names} == names


# The search tree


def landing(segments: list[search.Segment], value: int) -> int:
    """Return where the emitted search takes a value: each label returns its own number."""
    asm = bpf.Assembler()
    labels = {label: asm.label() for _, label in segments}
    asm.load(0)
    search.emit_search(asm, [(start, labels[label]) for start, label in segments])
    for label, place in labels.items():
        asm.place(place)
        asm.ret(label)
    return simulate(bpf.decode(asm.assemble()), Call(value, "x86_64"))


@pytest.mark.parametrize(
    "segments",
    [
        [(0, 10)],
        [(0, 10), (5, 20)],
        [(0, 10), (5, 20), (6, 10)],
        [(0, 10), *((n, 20 if n % 2 else 10) for n in range(1, 60))],
        [(0, 10), (3, 20), (4, 30), (5, 20), (6, 10), (0xFFFFFFFF, 20)],
        [(0, 20), (1, 10)],
    ],
)
def test_search_lands_where_the_segments_say(segments: list[search.Segment]) -> None:
    for value in (*range(70), 0xFFFFFFFE, 0xFFFFFFFF):
        wanted = [label for start, label in segments if start <= value][-1]
        assert landing(segments, value) == wanted, value


def test_a_jump_may_be_longer_than_255_instructions() -> None:
    asm = bpf.Assembler()
    far, farther = asm.label(), asm.label()
    asm.load(0)
    asm.jump(bpf.JEQ, 1, far, farther)
    for _ in range(300):
        asm.mask(0xFFFFFFFF)
    asm.place(far)
    asm.ret(1)
    for _ in range(300):
        asm.mask(0)
    asm.place(farther)
    asm.ret(2)
    program = bpf.decode(asm.assemble())
    assert [simulate(program, Call(number, "x86_64")) for number in (0, 1)] == [2, 1]


def test_listing_reads_like_a_program(default: bytes) -> None:
    lines = bpf.listing(default)
    assert lines[:2] == ["   0 A = data[4]", "   1 if (A == 0xc000003e) goto 4 else goto 2"]
    assert len(lines) == len(default) // 8


# Bad input


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Filter(defaultAction="SCMP_ACT_MAYBE"), 'unknown seccomp action: "SCMP_ACT_MAYBE"'),
        (Filter(defaultAction="SCMP_ACT_ALLOW", architectures=["SCMP_ARCH_VAX"]), "unknown seccomp architecture"),
        (
            Filter(
                defaultAction="SCMP_ACT_ALLOW",
                syscalls=[Rule(names=["read"], action="SCMP_ACT_ERRNO", args=[Argument(index=6, op="SCMP_CMP_EQ")])],
            ),
            "invalid seccomp condition",
        ),
        (
            Filter(
                defaultAction="SCMP_ACT_ALLOW",
                syscalls=[Rule(names=["read"], action="SCMP_ACT_ERRNO", args=[Argument(index=0, op="<")])],
            ),
            "invalid seccomp condition",
        ),
        (
            Filter(defaultAction="SCMP_ACT_ALLOW", syscalls=[Rule(names=["write"], action="SCMP_ACT_NOTIFY")]),
            "cannot be used for write",
        ),
    ],
)
def test_what_makes_no_sense_is_named(broken: Filter, complaint: str) -> None:
    with pytest.raises(InvalidError, match=complaint):
        compile_filter(broken, "x86_64")


@pytest.mark.parametrize("document_or_none", [None, {"defaultAction": "SCMP_ACT_ALLOW"}])
def test_unknown_machine_is_refused_by_name(tmp_path: Path, document_or_none: DockerProfile | None) -> None:
    with pytest.raises(UnsupportedError, match=r"for riscv64 are not known here; --security-opt seccomp=unconfined"):
        cache.cached(str(tmp_path), document_or_none, 0, "riscv64")


def test_a_program_too_long_for_the_kernel_is_refused() -> None:
    arguments = [Argument(index=0, value=2 * n, op="SCMP_CMP_EQ") for n in range(2500)]
    many = [
        Rule(names=[name], action="SCMP_ACT_ALLOW", args=[argument])
        for name in ("read", "ioctl")
        for argument in arguments
    ]
    with pytest.raises(InvalidError, match="kernel takes 4096"):
        compile_filter(Filter(defaultAction="SCMP_ACT_ERRNO", syscalls=many), "x86_64")


# docker's format


def document() -> DockerProfile:
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"name": "mount", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["set_tls"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        ],
    }


@pytest.mark.parametrize(
    ("capabilities", "architecture", "kernel", "expected"),
    [
        (0, "x86_64", (6, 1), ["read", "clone", "ptrace"]),
        (ALL, "x86_64", (6, 1), ["read", "mount", "ptrace"]),
        (0, "x86_64", (4, 7), ["read", "clone"]),
        (0, "aarch64", (4, 18), ["read", "clone", "ptrace", "set_tls"]),
    ],
)
def test_conditional_rules_are_resolved(
    capabilities: int, architecture: str, kernel: tuple[int, int], expected: list[str]
) -> None:
    found = resolve(document(), capabilities, architecture, kernel)
    assert [name for rule in found["syscalls"] for name in rule["names"]] == expected


def test_architectures_come_from_the_map() -> None:
    assert resolve(document(), 0, "x86_64", (6, 1))["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]


@pytest.mark.parametrize(
    "change",
    [
        {"architectures": ["SCMP_ARCH_X86"]},
        {"syscalls": [{"name": "read", "names": ["read"], "action": "SCMP_ACT_ALLOW"}]},
        {"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}}]},
    ],
)
def test_documents_that_contradict_themselves_are_refused(change: DockerProfile) -> None:
    with pytest.raises(InvalidError):
        resolve({**document(), **change}, 0, "x86_64", (6, 1))


# The cache


def test_cached_filter_is_the_compiled_one(tmp_path: Path, default: bytes) -> None:
    directory = f"{tmp_path}/seccomp"
    assert cache.default_filter(DEFAULT, directory, "x86_64") == default
    (path,) = os.listdir(directory)
    with open(f"{directory}/{path}", "wb") as file:
        file.write(b"from the cache..")
    assert cache.default_filter(DEFAULT, directory, "x86_64") == b"from the cache.."


def test_capabilities_that_change_nothing_share_a_file(tmp_path: Path) -> None:
    cache.default_filter(DEFAULT, str(tmp_path), "x86_64")
    cache.default_filter(DEFAULT & ~parse(["CHOWN"]), str(tmp_path), "x86_64")
    assert len(os.listdir(tmp_path)) == 1
    cache.default_filter(DEFAULT | parse(["SYS_ADMIN"]), str(tmp_path), "x86_64")
    assert len(os.listdir(tmp_path)) == 2


def test_own_profile_is_cached_by_content(tmp_path: Path) -> None:
    one: DockerProfile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "mount", "action": "SCMP_ACT_KILL"}]}
    two: DockerProfile = {**one, "defaultAction": "SCMP_ACT_LOG"}
    programs = [cache.cached(str(tmp_path), each, 0, "x86_64").bpf for each in (one, two, one)]
    assert programs[0] == programs[2] != programs[1]
    assert len(os.listdir(tmp_path)) == 2


def test_own_profile_depends_on_the_capabilities(tmp_path: Path) -> None:
    without = cache.cached(str(tmp_path), document(), 0, "x86_64").bpf
    with_admin = cache.cached(str(tmp_path), document(), ALL, "x86_64").bpf
    # ENOSYS, since without that rule ptrace is the last call that the document names.
    assert (verdict(without, "mount"), verdict(with_admin, "mount")) == (ENOSYS, rules.ALLOW)


def test_flags_of_a_document() -> None:
    assert rules.flags_of(Filter()) == apply.FLAG_SPEC_ALLOW
    assert rules.flags_of(Filter(flags=["SECCOMP_FILTER_FLAG_LOG"])) == apply.FLAG_LOG
    with pytest.raises(InvalidError, match="unknown seccomp flag"):
        rules.flags_of(Filter(flags=["SECCOMP_FILTER_FLAG_FAST"]))


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, default: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_named: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "makedirs", refuse)
    assert cache.default_filter(DEFAULT, f"{tmp_path}/absent", "x86_64") == default
    assert os.listdir(tmp_path) == []


def test_cache_knows_what_the_profile_looks_at() -> None:
    assert cache.RELEVANT == profile.RELEVANT


def test_revision_names_what_is_compiled() -> None:
    """Whoever changes a program changes its digest: put the new one into cache.REVISION."""
    digest = hashlib.sha256()
    for architecture in ("x86_64", "aarch64"):
        for name in (None, *NAMES):
            capabilities = DEFAULT | parse([name] if name else [])
            digest.update(compile_filter(default_profile(capabilities, architecture), architecture))
    for operator in rules.OPERATORS:
        arguments = [Argument(index=1, value=(3 << 32) + 5, valueTwo=5, op=operator)]
        rule = Rule(names=["ioctl", "semop"], action="SCMP_ACT_TRACE", args=arguments)
        only = Filter(defaultAction="SCMP_ACT_LOG", architectures=["SCMP_ARCH_X86"], syscalls=[rule])
        digest.update(compile_filter(only, "x86_64"))
    assert digest.hexdigest()[:12] == cache.REVISION


def test_start_of_a_container_loads_no_compiler() -> None:
    code = (
        "import sys; import toolkit.linux.seccomp.apply, toolkit.linux.seccomp.cache; "
        "print(*sorted(name for name in sys.modules if name.startswith('toolkit.linux.seccomp.')))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert found.split() == ["toolkit.linux.seccomp.apply", "toolkit.linux.seccomp.cache"]
