"""A container's options as Docker's API has them: the document HostConfig of inspect; every field that docker shows.

See Also:
    Docker Engine API 1.50, HostConfig
"""

from toolkit.engine.networkinspect import asked
from toolkit.engine.oci import kernel_paths
from toolkit.engine.options import OWN_RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.engine.options import BlockDevice, ContainerOptions
    from toolkit.volume.mount import MountSpec

_SHM_BYTES = 64 * 1024 * 1024


def host_config(options: "ContainerOptions") -> "dict[str, Any]":
    """Return what `docker inspect` shows as HostConfig."""
    masked, readonly = kernel_paths(options)
    return {
        "Binds": list(options.binds) or None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": options.log_driver or "json-file", "Config": dict(options.log_options)},
        "NetworkMode": options.network,
        "PortBindings": _port_bindings(options),
        "RestartPolicy": {"Name": options.restart_policy or "no", "MaximumRetryCount": options.restart_retries},
        "AutoRemove": options.auto_remove,
        "VolumeDriver": options.volume_driver,
        "VolumesFrom": list(options.volumes_from) or None,
        "ConsoleSize": [0, 0],
        **({"Annotations": dict(options.annotations)} if options.annotations else {}),
        "CapAdd": list(options.cap_add) or None,
        "CapDrop": list(options.cap_drop) or None,
        "CgroupnsMode": options.cgroupns_mode or "private",
        "Dns": list(options.dns),
        "DnsOptions": list(options.dns_options),
        "DnsSearch": list(options.dns_search),
        "ExtraHosts": list(options.extra_hosts) or None,
        "GroupAdd": list(options.group_add) or None,
        "IpcMode": options.ipc_mode or "private",
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": options.oom_score_adj,
        "PidMode": options.pid_mode,
        "Privileged": options.privileged,
        "PublishAllPorts": options.publish_all,
        "ReadonlyRootfs": options.read_only,
        "SecurityOpt": list(options.security_opt) or None,
        **({"Sysctls": dict(options.sysctls)} if options.sysctls else {}),
        **({"Tmpfs": dict(options.tmpfs)} if options.tmpfs else {}),
        **({"Mounts": [_mount(each) for each in options.mounts]} if options.mounts else {}),
        "UTSMode": options.uts_mode,
        "UsernsMode": options.userns_mode,
        "ShmSize": options.shm_size_bytes or _SHM_BYTES,
        "Runtime": options.runtime or OWN_RUNTIME,
        "Isolation": options.isolation,
        **_resources(options),
        "Init": options.init,
        "MaskedPaths": masked,
        "ReadonlyPaths": readonly,
    }


def _mount(spec: "MountSpec") -> "dict[str, Any]":
    """Return a mount as the API takes it; with Idmap, which docker's does not have."""
    bind = {
        **({"Propagation": spec.propagation} if spec.propagation else {}),
        **({"NonRecursive": True} if spec.recursion == "disabled" else {}),
        **({"ReadOnlyNonRecursive": True} if spec.recursion == "writable" else {}),
        **({"ReadOnlyForceRecursive": True} if spec.recursion == "readonly" else {}),
    }
    driver = {
        **({"Name": spec.driver} if spec.driver else {}),
        **({"Options": dict(spec.driver_options)} if spec.driver_options else {}),
    }
    volume = {
        **({"NoCopy": True} if spec.no_copy else {}),
        **({"Labels": dict(spec.labels)} if spec.labels else {}),
        **({"Subpath": spec.subpath} if spec.subpath else {}),
        **({"DriverConfig": driver} if driver else {}),
    }
    tmpfs = {
        **({"SizeBytes": spec.tmpfs_size_bytes} if spec.tmpfs_size_bytes else {}),
        **({"Mode": spec.tmpfs_mode} if spec.tmpfs_mode else {}),
    }
    return {
        "Type": spec.kind,
        **({"Source": spec.source} if spec.source else {}),
        "Target": spec.target,
        **({"ReadOnly": True} if spec.read_only else {}),
        **({"BindOptions": bind} if bind else {}),
        **({"VolumeOptions": volume} if volume else {}),
        **({"TmpfsOptions": tmpfs} if tmpfs else {}),
        **({"Idmap": spec.idmap} if spec.idmap else {}),
    }


def _port_bindings(options: "ContainerOptions") -> "dict[str, Any]":
    shown: dict[str, list[dict[str, str]]] = {}
    for binding in options.publish:
        shown.setdefault(f"{binding.container_port}/{binding.protocol}", []).append(asked(binding))
    return shown


def _resources(options: "ContainerOptions") -> "dict[str, Any]":
    return {
        "CpuShares": options.cpu_shares,
        "Memory": options.memory_bytes,
        "NanoCpus": options.nano_cpus,
        "CgroupParent": options.cgroup_parent,
        "BlkioWeight": options.blkio_weight,
        "BlkioWeightDevice": [{"Path": each.path, "Weight": each.value} for each in options.blkio_weight_devices],
        "BlkioDeviceReadBps": _rates(options.device_read_bps),
        "BlkioDeviceWriteBps": _rates(options.device_write_bps),
        "BlkioDeviceReadIOps": _rates(options.device_read_iops),
        "BlkioDeviceWriteIOps": _rates(options.device_write_iops),
        "CpuPeriod": options.cpu_period_us,
        "CpuQuota": options.cpu_quota_us,
        "CpuRealtimePeriod": options.cpu_rt_period_us,
        "CpuRealtimeRuntime": options.cpu_rt_runtime_us,
        "CpusetCpus": options.cpuset_cpus,
        "CpusetMems": options.cpuset_mems,
        "Devices": [
            {"PathOnHost": each.host, "PathInContainer": each.container, "CgroupPermissions": each.permissions}
            for each in options.devices
        ],
        "DeviceCgroupRules": list(options.device_cgroup_rules) or None,
        "DeviceRequests": None,
        "MemoryReservation": options.memory_reservation_bytes,
        "MemorySwap": options.memory_swap_bytes or 2 * options.memory_bytes,
        "MemorySwappiness": None if options.memory_swappiness < 0 else options.memory_swappiness,
        "OomKillDisable": options.oom_kill_disable,
        "PidsLimit": options.pids_limit or None,
        "Ulimits": [{"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft} for limit in options.ulimits],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _rates(devices: "tuple[BlockDevice, ...]") -> "list[dict[str, Any]]":
    return [{"Path": each.path, "Rate": each.value} for each in devices]
