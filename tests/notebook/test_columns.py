"""Tables of the command line, read back."""

from toolkit.cli.table import align
from toolkit.notebook.columns import read_columns


def test_cells_are_cut_where_the_headings_begin() -> None:
    text = align(
        [["CONTAINER ID", "STATUS", "NAMES"], ["0123456789ab", "Up 2 minutes", "web"], ["ba9876543210", "", "db"]]
    )
    printed = read_columns(text)
    assert printed is not None
    assert printed.columns == ("CONTAINER ID", "STATUS", "NAMES")
    assert printed.rows[0] == {"CONTAINER ID": "0123456789ab", "STATUS": "Up 2 minutes", "NAMES": "web"}
    assert printed.rows[1] == {"CONTAINER ID": "ba9876543210", "STATUS": "", "NAMES": "db"}


def test_empty_table_has_columns() -> None:
    printed = read_columns("IMAGE ID   SIZE\n")
    assert printed is not None
    assert (printed.columns, printed.rows) == (("IMAGE ID", "SIZE"), ())


def test_text_without_headings_is_no_table() -> None:
    assert read_columns("") is None
    assert read_columns("hello world\n") is None
    assert read_columns("HELLO\n") is None
