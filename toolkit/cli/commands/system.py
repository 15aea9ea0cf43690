"""`container version`, `info` and `doctor`."""

import os
import sys

from toolkit.cli.command import Command
from toolkit.cli.flags import STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import InvalidError
from toolkit.core.units import format_binary_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORMAT = Flag(
    "format",
    "f",
    STRING,
    "Format output using a custom template:\n'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template",
)


def version(session: Session, parsed: Parsed) -> Outcome:
    """Print the versions of what is at work here."""
    from toolkit import __version__

    kernel = os.uname()
    document = {
        "Version": __version__,
        "PythonVersion": sys.version.split()[0],
        "Os": kernel.sysname.lower(),
        "Arch": kernel.machine,
        "KernelVersion": kernel.release,
    }
    if parsed["format"]:
        return _templated(session, parsed["format"], document)
    session.print("Engine: container-toolkit")
    for label, key in (("Version", "Version"), ("Python version", "PythonVersion"), ("Kernel", "KernelVersion")):
        session.print(f" {label + ':':<16} {document[key]}")
    session.print(f" {'OS/Arch:':<16} {document['Os']}/{document['Arch']}")
    return Outcome(value=document)


def info(session: Session, parsed: Parsed) -> Outcome:
    """Print what the engine is, has and can do."""
    document = session.engine.info()
    if parsed["format"]:
        return _templated(session, parsed["format"], document)
    session.stdout.write("\n".join(_info_lines(document)) + "\n")
    for warning in document.get("Warnings") or ():
        session.complain(warning)
    return Outcome(value=document)


def _info_lines(document: "dict[str, Any]") -> list[str]:
    security = [option.removeprefix("name=") for option in document["SecurityOptions"]]
    return [
        f"Containers: {document['Containers']}",
        f" Running: {document['ContainersRunning']}",
        f" Paused: {document['ContainersPaused']}",
        f" Stopped: {document['ContainersStopped']}",
        f"Images: {document['Images']}",
        f"Server Version: {document['ServerVersion']}",
        f"Storage Driver: {document['Driver']}",
        f"Logging Driver: {document['LoggingDriver']}",
        f"Cgroup Driver: {document['CgroupDriver']}",
        f"Cgroup Version: {document['CgroupVersion']}",
        f"Runtimes: {' '.join(document['Runtimes'])}",
        f"Default Runtime: {document['DefaultRuntime']}",
        "Security Options:",
        *(line for option in security for line in _security_lines(option)),
        f"Kernel Version: {document['KernelVersion']}",
        f"Operating System: {document['OperatingSystem']}",
        f"OSType: {document['OSType']}",
        f"Architecture: {document['Architecture']}",
        f"CPUs: {document['NCPU']}",
        f"Total Memory: {format_binary_bytes(document['MemTotal'])}",
        f"Name: {document['Name']}",
        f"Root Dir: {document['DockerRootDir']}",
    ]


def _security_lines(option: str) -> list[str]:
    name, *details = option.split(",")
    return [f" {name}", *(f"  {detail.replace('profile=', 'Profile: ')}" for detail in details)]


def _templated(session: Session, template: str, document: "dict[str, Any]") -> Outcome:
    from toolkit.cli.template import TemplateError, compile_template, render

    try:
        text = render(compile_template("{{json .}}" if template == "json" else template), document)
    except TemplateError as exc:
        raise InvalidError(f"template parsing error: {exc}") from exc
    session.print(text)
    return Outcome(value=document)


VERSION = Command(
    "version",
    "[OPTIONS]",
    "Show the version information",
    version,
    "container version --format '{{.Version}}'",
    flags=(_FORMAT,),
    max_args=0,
)

INFO = Command(
    "info",
    "[OPTIONS]",
    "Display system-wide information",
    info,
    "container info --format '{{.CgroupVersion}}'",
    flags=(_FORMAT,),
    max_args=0,
)
