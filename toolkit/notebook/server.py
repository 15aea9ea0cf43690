"""An extension of the Jupyter server: what a kernel says reaches the page at once.

A kernel answers in small pieces: "busy", the picture's new state, "idle".  The
server writes each to the page's websocket with Nagle's algorithm in force (RFC
896): while a piece is on its way unacknowledged, the next small one waits, and
a browser takes its 40 ms to acknowledge (delayed acknowledgement, RFC 1122
4.2.3.2).  A press in a picture, or a key in a terminal, then takes 40 ms longer
than the kernel needs.  This switches the algorithm off for kernels' websockets
(TCP_NODELAY, tcp(7)), and does nothing else.

Jupyter finds it by `etc/jupyter/jupyter_server_config.d/container-toolkit.json`,
which is installed with the package; `jupyter server extension disable
toolkit.notebook.server` switches it off.
"""

from typing import Any

__all__ = ["_jupyter_server_extension_points", "_load_jupyter_server_extension"]  # by these names Jupyter calls them
_CLASS = "kernel_websocket_connection_class"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Have the server make connections that do not wait; called by it once, before the first."""
    settings = server.web_app.settings
    found = settings.get(_CLASS)
    if found is not None:  # an older server has none
        settings[_CLASS] = _prompt(found)


def _prompt(connection: type[Any]) -> type[Any]:
    """Return a kind of connection, between a page and a kernel, that sends each message as it comes."""

    def connect(self: Any) -> Any:
        self.websocket_handler.set_nodelay(True)
        return connection.connect(self)

    return type(f"Prompt{connection.__name__}", (connection,), {"connect": connect})
