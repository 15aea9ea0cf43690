"""Tests of other files that run in the guest too: the engine as a whole on a pure cgroup v2.

A whole file, or one test with all its parameters, or one with some.  What is
about v2 itself is marked `guest` where it stands; these are chosen for what
they go through: limits, freezing, killing, devices, execs, and clean-up.
"""

ALSO = (
    "tests/engine/test_pause.py",
    "tests/engine/test_limits.py::test_memory_limit_kills_and_says_so",
    "tests/engine/test_limits.py::test_plain_kill_is_not_oom_killed",
    "tests/engine/test_limits.py::test_memory_limit_is_visible_inside",
    "tests/engine/test_limits.py::test_pids_limit_stops_a_fork",
    "tests/engine/test_limits.py::test_cpu_quota_is_visible_inside",
    "tests/engine/test_limits.py::test_cpu_quota_throttles",
    "tests/engine/test_limits.py::test_cgroup_namespace_shows_the_root",
    "tests/engine/test_limits.py::test_container_has_its_own_of_everything_but_users",
    "tests/engine/test_devices.py::test_device_can_be_used_as_its_permissions_say",
    "tests/engine/test_devices.py::test_node_without_a_rule_cannot_be_opened",
    "tests/engine/test_devices.py::test_device_in_a_user_namespace_is_the_hosts_own_node",
    "tests/engine/test_settings_inside.py::test_weight_of_block_io",
    "tests/engine/test_isolation.py::test_device_that_is_not_listed_can_be_made_but_not_opened",
    "tests/engine/test_isolation.py::test_device_that_is_listed_can_be_opened",
    "tests/engine/test_isolation.py::test_privileged_may_open_every_device",
    "tests/engine/test_life.py::test_output_and_exit_code_come_back",
    "tests/engine/test_life.py::test_failed_start_leaves_nothing_and_says_why_later",
    "tests/engine/test_life.py::test_container_can_be_started_again_and_keeps_its_files",
    "tests/engine/test_life.py::test_stop_kills_what_does_not_listen",
    "tests/engine/test_life.py::test_force_removes_a_running_container",
    "tests/engine/test_life.py::test_exec_is_in_the_containers_cgroup",
    "tests/engine/test_life.py::test_exec_ends_with_the_container",
    "tests/engine/test_life.py::test_stats_and_pids_come_from_the_cgroup",
    "tests/engine/test_crash.py::test_killed_monitor_takes_its_container_along_and_the_loss_is_recorded",
    "tests/engine/test_crash.py::test_killed_monitor_of_an_exec_takes_its_process_along_and_nothing_else",
    "tests/engine/test_crash.py::test_container_survives_client_and_zygote_with_log_and_exit_code",
    "tests/engine/test_crash.py::test_zygote_that_was_killed_is_replaced",
    "tests/engine/test_attacks.py::test_a_disk_node_can_be_made_but_not_opened",
    "tests/engine/test_restart.py::test_on_failure_restarts_as_often_as_it_was_told",
    "tests/runtime/test_strace.py::test_record_is_what_strace_saw[plain-False]",
)


def is_chosen(ident: str) -> bool:
    """Tell whether a test is one of these."""
    file, _, name = ident.partition("::")
    return not {file, f"{file}::{name.partition('[')[0]}", ident}.isdisjoint(ALSO)
