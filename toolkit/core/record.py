# ruff: noqa: ANN001, ANN002, ANN003, ANN201, ANN202, ANN204, ANN206, ARG002 - type checkers look at `typing`, and not at what runs
"""`NamedTuple`, `Protocol`, `TypedDict` and `cast` without the module `typing`, for a fraction of its memory and time.

To a type checker it *is* `typing.NamedTuple`.  When the program runs it makes
classes that are built, read, compared, printed, pickled and changed
(`_replace`) in the same way, but do without `typing` (0.7 MB) and
`collections`, and have their methods in common: each class costs a third.
The zygote has sixty of them, and every monitor is its copy; to import `typing`
is a tenth of what a `container ps` takes.

What `typing.NamedTuple` has and this has not: the functional form
`NamedTuple("Point", [...])`, and generic classes.

See Also:
    adr/0011-a-zygote-on-a-diet.md
"""

__all__ = ["NamedTuple", "Protocol", "TypedDict", "cast"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple, Protocol, TypedDict, cast
else:
    from _collections import _tuplegetter  # collections.namedtuple uses it, too

    _new_tuple = tuple.__new__
    _Function = type(lambda: None)
    _creators = {}

    def _creator(count):
        """Return the code of a `__new__` with so many arguments; compiled once: that takes longer than all the rest."""
        if count not in _creators:
            given = "".join([f"_{index}, " for index in range(count)])
            _creators[count] = eval(f"lambda _class, {given}: _new_tuple(_class, ({given}))").__code__  # noqa: S307 - of numbers alone
        return _creators[count]

    class _Record(tuple):
        """What all records have in common."""

        __slots__ = ()
        _fields = ()
        _field_defaults = {}  # noqa: RUF012 - as collections.namedtuple has it

        @classmethod
        def _make(cls, iterable):
            """Make one of the values of its fields, in order."""
            made = _new_tuple(cls, iterable)
            if len(made) != len(cls._fields):
                raise TypeError(f"expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, /, **changes):
            """Return a copy in which some fields are different."""
            made = self._make(map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"{type(self).__name__} has no fields {list(changes)}")
            return made

        __replace__ = _replace  # copy.replace, since Python 3.13

        def _asdict(self):
            """Return the fields as a dictionary."""
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            shown = ", ".join([f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)])
            return f"{type(self).__name__}({shown})"

        def __getnewargs__(self):
            """Return what `copy` and `pickle` make the copy of."""
            return tuple(self)

    def _defaults(cls, fields, namespace):
        """Return those fields that need not be given, with their values: they are the last."""
        with_default = tuple(name for name in fields if name in namespace)
        if with_default != fields[len(fields) - len(with_default) :]:
            raise TypeError(f"{cls.__name__}: a field without a default follows one with a default")
        return {name: namespace[name] for name in with_default}

    class _RecordMaker(type):
        """Makes a plain subclass of tuple where a class with annotated fields is written."""

        def __new__(cls, name, bases, namespace):
            if not bases:
                return type.__new__(cls, name, bases, namespace)  # NamedTuple itself, which only starts this
            made = type(name, (_Record,), {"__slots__": (), **namespace})
            fields = tuple(made.__annotations__)
            defaults = _defaults(made, fields, namespace)
            code = _creator(len(fields)).replace(co_varnames=("_class", *fields))
            create = _Function(code, globals(), "__new__", tuple(defaults.values()))
            create.__qualname__ = f"{made.__qualname__}.__new__"
            made.__new__ = staticmethod(create)
            made.__match_args__ = made._fields = fields
            if defaults:
                made._field_defaults = defaults
            for index, field in enumerate(fields):
                setattr(made, field, _tuplegetter(index, None))
            return made

    class NamedTuple(metaclass=_RecordMaker):
        """The base of a record: a tuple whose members have names."""

    class Protocol:
        """The base of a class that only describes others."""

        __slots__ = ()

    class _Shape(type):
        """Makes a class that says which keys a dictionary has, and makes plain dictionaries."""

        def __new__(cls, name, bases, namespace, *, total=True):  # noqa: ARG004 - for type checkers
            return type.__new__(cls, name, bases, namespace)

        def __init__(cls, name, bases, namespace, *, total=True):
            type.__init__(cls, name, bases, namespace)

        def __call__(cls, *args, **fields):
            return dict(*args, **fields)

    class TypedDict(metaclass=_Shape):
        """The base of a class that describes dictionaries."""

    def cast(_kind, value):
        """Return the value, of which a type checker knows more now."""
        return value
