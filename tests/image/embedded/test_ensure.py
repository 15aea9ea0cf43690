"""The image `lab` in the stores of an engine root."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.core.errors import NotFoundError
from toolkit.core.state import State
from toolkit.image import embedded
from toolkit.image.embedded import describe, ensure, make
from toolkit.image.images import Images
from toolkit.image.reference import parse_reference


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    root = tmp_path_factory.mktemp("engine")
    state = State(f"{root}/state.db")
    yield Images.open(str(root), state)
    state.close()


pytestmark = pytest.mark.needs("root")


def test_lab_is_made_when_it_is_asked_for(images: Images) -> None:
    with pytest.raises(NotFoundError):
        images.resolve("lab")
    said: list[str] = []
    record = ensure(images, said.append)
    assert record.names == ("lab:latest",)
    assert images.resolve("lab:latest").id == record.id
    assert record.config["Cmd"] in (["bash"], ["sh"])
    assert len(record.diff_ids) == len(record.history) == len(record.layers) >= 4
    assert said[0].startswith("Making the image lab")
    assert len(said) == len(record.layers) + 2


def test_every_layer_is_unpacked(images: Images) -> None:
    record = ensure(images)
    paths = [images.layers.path(diff_id) for diff_id in record.diff_ids]
    assert all(os.path.isdir(path) for path in paths)
    assert any(os.path.exists(f"{path}/usr/bin/env") or os.path.exists(f"{path}/bin/env") for path in paths)


def test_root_directory_can_be_passed_by_everybody(images: Images) -> None:
    assert ensure(images).root == (0o755, 0, 0)


def test_lab_that_is_here_is_not_made_again(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure(images)
    monkeypatch.setattr(make, "make", None)
    assert ensure(images) == first


def test_lab_made_anew_of_the_same_host_is_the_same(images: Images) -> None:
    first = ensure(images)
    assert ensure(images, is_anew=True).id == first.id


def test_lab_of_another_recipe_is_replaced(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure(images)
    monkeypatch.setattr(embedded, "VERSION", "next")
    second = ensure(images)
    assert second.id != first.id
    assert images.resolve("lab").id == second.id


def test_foreign_image_called_lab_is_left_alone(
    images: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = ensure(images)
    config = json.loads(images.content.read(record.id))
    del config["config"]["Labels"]
    content = json.dumps(config).encode()
    images.content.add(content)
    manifest = json.loads(images.content.read(record.manifest_digest))
    manifest["config"] |= {"digest": describe.digest_of(content), "size": len(content)}
    with images.importing():
        foreign = images.add(images.content.add(json.dumps(manifest).encode()))
    images.tag(parse_reference("lab"), foreign.id)
    monkeypatch.setattr(make, "make", None)
    assert embedded.ensure(images).id == foreign.id
