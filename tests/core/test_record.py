"""Records are what typing.NamedTuple would have made of the same class."""

import copy
import pickle
import typing

import pytest

from toolkit.core.record import NamedTuple


class _Ours(NamedTuple):
    """A point."""

    x: int
    y: "int" = 2
    label: str = ""

    @property
    def total(self) -> int:
        """Both together."""
        return self.x + self.y

    @classmethod
    def origin(cls) -> "_Ours":
        return cls(0, 0)

    def moved(self) -> "_Ours":
        return self._replace(x=self.x + 1)


class _Theirs(typing.NamedTuple):
    """A point."""

    x: int
    y: "int" = 2
    label: str = ""


class _Empty(NamedTuple):
    pass


def test_record_is_built_and_read_as_a_named_tuple() -> None:
    for kind in (_Ours, _Theirs):
        made = kind(1, label="a")
        assert (made.x, made.y, made.label) == (1, 2, "a") == made
        x, *_rest = made
        assert x == 1
        assert hash(made) == hash((1, 2, "a"))
        assert isinstance(made, tuple)


@pytest.mark.parametrize("name", ["_fields", "_field_defaults", "__match_args__", "__doc__"])
def test_class_says_the_same_of_itself(name: str) -> None:
    assert getattr(_Ours, name) == getattr(_Theirs, name)


def test_annotations_name_the_same_fields() -> None:
    assert list(_Ours.__annotations__) == list(_Theirs.__annotations__)


def test_record_shows_its_fields() -> None:
    assert repr(_Ours(1)) == repr(_Theirs(1)).replace("_Theirs", "_Ours")
    assert repr(_Empty()) == "_Empty()"


def test_as_dictionary() -> None:
    assert _Ours(1)._asdict() == _Theirs(1)._asdict() == {"x": 1, "y": 2, "label": ""}


def test_copy_with_other_fields_is_of_the_same_class() -> None:
    made = _Ours(1)._replace(y=5)
    assert type(made) is _Ours
    assert made == (1, 5, "")


def test_copy_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="z"):
        _Ours(1)._replace(z=5)  # type: ignore[call-arg]  # the point of the test


def test_make_takes_the_fields_in_order() -> None:
    assert _Ours._make([1, 2, "c"]) == _Ours(1, 2, "c")
    with pytest.raises(TypeError, match="expected 3 arguments, got 2"):
        _Ours._make([1, 2])


@pytest.mark.parametrize("arguments", [(), (1, 2, "", 4)])
def test_wrong_number_of_arguments_is_refused(arguments: tuple[object, ...]) -> None:
    for kind in (_Ours, _Theirs):
        with pytest.raises(TypeError):
            kind(*arguments)  # type: ignore[arg-type]  # the point of the test


def test_unknown_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        _Ours(1, z=2)  # type: ignore[call-arg]  # the point of the test


def test_fields_cannot_be_set_and_others_not_added() -> None:
    made = _Ours(1)
    for name in ("x", "z"):
        with pytest.raises(AttributeError):
            setattr(made, name, 1)


def test_record_has_no_dictionary_of_its_own() -> None:
    assert not hasattr(_Ours(1), "__dict__")


def test_methods_properties_and_class_methods_work() -> None:
    assert (_Ours(1).total, _Ours.origin(), _Ours(1).moved()) == (3, (0, 0, ""), (2, 2, ""))


def test_record_survives_pickle_and_copies() -> None:
    made = _Ours(1, 7, "b")
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):  # noqa: S301 - our own
        assert again == made
        assert type(again) is _Ours


def test_record_matches_a_pattern() -> None:
    match _Ours(1, 2, "x"):
        case _Ours(1, y, label="x"):
            assert y == 2
        case _:
            pytest.fail("no match")


def test_field_without_default_after_one_with_a_default_is_refused() -> None:
    with pytest.raises(TypeError, match="default"):

        class _Bad(NamedTuple):
            a: int = 1
            b: int  # type: ignore[misc]  # the point of the test
