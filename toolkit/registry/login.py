"""Storing and forgetting credentials where docker does: a credential helper, or its configuration file.

The file keeps all else that is in it; it is written beside itself and
renamed, readable for its owner only.
"""

import base64
import contextlib
import json
import os
import subprocess
from typing import Any

from toolkit.core.errors import InvalidError, UnauthorizedError
from toolkit.registry.credentials import HELPER_TIMEOUT_S, HUB, config_path, helper_of, key_of, read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.registry.credentials import Credentials


def registry_of(server: str) -> str:
    """Return the registry that a user means by `login SERVER`: Docker Hub if he names none.

    Raises:
        InvalidError: it is no host.
    """
    host = server.removeprefix("https://").removeprefix("http://").partition("/")[0]
    if host in ("", "docker.io", "index.docker.io", "registry-1.docker.io"):
        return HUB
    if not host.isprintable() or any(char.isspace() for char in host):
        raise InvalidError(f"invalid registry: '{server}'", hint="write it as HOST[:PORT]")
    return host


def store(registry: str, credentials: "Credentials") -> str:
    """Store credentials; return the file that they lie in unencrypted, "" where a helper has them.

    Raises:
        UnauthorizedError: the helper does not take them.
        InvalidError: the configuration is not JSON, or cannot be written.
    """
    path = config_path()
    config = read_config(path)
    key = key_of(registry)
    auths = config.setdefault("auths", {})
    helper = helper_of(config, registry)
    if helper:
        secret = {"ServerURL": key, "Username": credentials.username, "Secret": credentials.password}
        _tell(helper, "store", json.dumps(secret))
        auths[key] = {}
    else:
        pair = f"{credentials.username}:{credentials.password}"
        auths[key] = {"auth": base64.b64encode(pair.encode()).decode()}
    _write(path, config)
    return "" if helper else path


def forget(registry: str) -> None:
    """Forget the credentials for a registry; there may be none.

    Raises:
        InvalidError: the configuration is not JSON, or cannot be written.
    """
    path = config_path()
    config = read_config(path)
    key = key_of(registry)
    helper = helper_of(config, registry)
    if helper:
        with contextlib.suppress(UnauthorizedError):  # it has none
            _tell(helper, "erase", key)
    auths = config.get("auths") or {}
    gone = [name for name in auths if name in (key, registry, f"https://{registry}", f"http://{registry}")]
    for name in gone:
        del auths[name]
    if gone:
        _write(path, config)


def _tell(helper: str, verb: str, text: str) -> None:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, verb], input=text.encode(), capture_output=True, check=False, timeout=HELPER_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise UnauthorizedError(f"cannot run the credential helper {program}", hint="install it") from exc
    if done.returncode:
        said = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
        why = said[0][:200] if said else f"exit status {done.returncode}"
        raise UnauthorizedError(f"error storing credentials: {program}: {why}", hint="see its own documentation")


def _write(path: str, config: dict[str, Any]) -> None:
    real = os.path.realpath(path)
    unfinished = f"{real}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(real), 0o700, exist_ok=True)
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                json.dump(config, file, indent="\t")
            os.rename(unfinished, real)
        except BaseException:
            os.unlink(unfinished)
            raise
    except OSError as exc:
        raise InvalidError(f"cannot write {real}: {exc.strerror}", hint="check its directory") from exc
