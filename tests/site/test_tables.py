"""The tables, against the manifest that says the same."""

import csv
import io
import math
from dataclasses import replace

import pyarrow.parquet
import pytest
from building import MIXED, build, manifest_of, small
from fake import STATS, TOY_LAYERS, catalogue, channel, examples, renders

from atlas.site.sheets import plan_sheets
from atlas.site.tables import _column, table_files, table_paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of a few channels of two layers, one without photographs and statistics."""
    out = tmp_path_factory.mktemp("tables")
    measured = tuple(
        replace(one, robust=90.0, share=1.5, saturation=0.02, high_frequency=0.1, diversity=0.4)
        for one in renders("mixed3a:5")
    )
    bare = channel(MIXED, 7, examples=(), spectrum=(), stats={}, classes=(), whole=None)
    channels = [channel(TOY_LAYERS[0], 2), channel(MIXED, 5, renders=measured), bare]
    build(out, catalogue(channels=channels))
    return out


@pytest.fixture(scope="module")
def manifest(folder):
    return manifest_of(folder)


def parquet(folder, name):
    return pyarrow.parquet.read_table(folder / "tables" / f"{name}.parquet").to_pylist()


def comma_separated(folder, name):
    return list(csv.DictReader(io.StringIO((folder / "tables" / f"{name}.csv").read_text())))


def place(tile):
    x, _, size, _ = tile["tile"]
    return {"sheet": tile["sheet"], "tile_x": x, "tile_y": 0, "tile_size": size}


def test_channels_are_those_of_the_manifest(folder, manifest):
    keys = ("layer", "index", "branch", "page")
    assert parquet(folder, "channels") == [
        {key: one[key] for key in keys} | dict.fromkeys(STATS) | one["stats"]
        for one in manifest["channels"]
    ]


def test_renders_are_those_of_the_manifest(folder, manifest):
    expected = []
    for one in manifest["channels"]:
        for render in one["renders"]:
            facts = {k: v for k, v in render.items() if k not in ("sheet", "tile")}
            expected.append(
                {"layer": one["layer"], "index": one["index"], **facts, **place(render)}
            )
    found = parquet(folder, "renders")
    assert found == expected
    assert (found[7]["layer"], found[7]["share_of_dataset_maximum"]) == ("mixed3a", 1.5)


def crop(one, side, rank, example):
    (y, x), (x0, y0, x1, y1) = example["position"], example["crop"]
    return {
        "layer": one["layer"], "index": one["index"], "side": side, "rank": rank,
        "source": example["source"], "label": example["label"],
        "activation": example["activation"], "y": y, "x": x, "x0": x0, "y0": y0, "x1": x1,
        "y1": y1, **place(example),
    }  # fmt: skip


def test_examples_are_those_of_the_manifest_then_its_bands(folder, manifest):
    expected = []
    for one in manifest["channels"]:
        expected += [crop(one, e["side"], e["rank"], e) for e in one["examples"]]
        for number, band in enumerate(one["spectrum"]):
            crops = enumerate(band["examples"])
            expected += [crop(one, f"band {number}", rank, e) for rank, e in crops]
    found = parquet(folder, "examples")
    assert found == expected
    assert [row["side"] for row in found[17:22]] == ["negative", *["band 0"] * 3, "band 1"]


def test_classes_are_those_of_the_manifest(folder, manifest):
    expected = [
        {"label": one["label"], "images": one["count"], "rank": rank, **member}
        for one in manifest["classes"]
        for rank, member in enumerate(one["channels"])
    ]
    assert parquet(folder, "classes") == expected
    assert len(expected) == 6 * 2


@pytest.mark.parametrize("name", ["channels", "renders"])
def test_what_is_comma_separated_says_the_same(folder, name):
    found, expected = comma_separated(folder, name), parquet(folder, name)
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        assert row.keys() == other.keys()
        for key, text in row.items():
            value = other[key]
            if value is None:
                assert text == ""
            elif isinstance(value, bool):
                assert text == str(value).lower()
            else:
                assert type(value)(text) == value


def test_columns_have_types_of_their_own(folder):
    schema = pyarrow.parquet.read_schema(folder / "tables" / "renders.parquet")
    expected = {"layer": "string", "seed": "int64", "robust_activation": "double",
                "started": "bool", "reason": "string"}  # fmt: skip
    assert {name: str(schema.field(name).type) for name in expected} == expected


def tables_of(atlas):
    return dict(table_files(atlas, plan_sheets(atlas, "avif")))


def read(data):
    return pyarrow.parquet.read_table(io.BytesIO(data))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, {"channels", "renders", "examples", "classes"}),
        ({"classes": ()}, {"channels", "renders", "examples"}),
        ({"examples": (), "spectrum": ()}, {"channels", "renders", "classes"}),
    ],
)
def test_only_tables_that_have_something_are_made(changes, names):
    atlas = small(**changes)
    paths = {*(f"tables/{name}.parquet" for name in names), "tables/channels.csv",
             "tables/renders.csv"}  # fmt: skip
    assert table_paths(atlas) == sorted(paths)
    assert set(tables_of(atlas)) == paths


def test_no_numbers_are_null(tmp_path):
    stats = {"max": math.nan, "mean": math.inf, "images": 3.0}
    never = replace(renders("mixed3a:0", ("positive",))[0], activation=math.nan)
    build(tmp_path, small(stats=stats, renders=(never,)))
    first = parquet(tmp_path, "channels")[0]
    assert (first["max"], first["mean"], first["images"]) == (None, None, 3.0)
    assert parquet(tmp_path, "renders")[0]["activation"] is None


def test_hostile_text_is_kept_but_for_what_is_no_text():
    bad = '"><script>,\n=1+1\u202e\udcff'
    atlas = small(examples=examples("x", 1, (bad,)))
    data = tables_of(atlas)["tables/examples.parquet"]
    assert read(data)["label"][0].as_py() == '"><script>,\n=1+1\u202e?'


def test_more_rows_than_a_batch_are_one_table(monkeypatch):
    expected = tables_of(small())["tables/examples.parquet"]
    monkeypatch.setattr("atlas.site.tables.BATCH", 10)
    found = tables_of(small())["tables/examples.parquet"]
    rows, others = (read(data).to_pylist() for data in (found, expected))
    assert len(rows) == 3 * (18 + 27)
    assert rows == others


def test_a_column_may_begin_after_the_first_batch(monkeypatch):
    monkeypatch.setattr("atlas.site.tables.BATCH", 1)
    channels = [channel(MIXED, 0, stats={}), channel(MIXED, 1, stats={"max": 2.5})]
    table = read(tables_of(catalogue(channels=channels))["tables/channels.parquet"])
    assert table["max"].to_pylist() == [None, 2.5]


def test_tables_have_the_same_bytes_every_time():
    assert tables_of(small()) == tables_of(small())


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (pyarrow.string(), ["a", None, "", 'ä\u202e\n"', "z" * 300, None, "x", "y", "w"]),
        (pyarrow.int64(), [None, 0, -3, 2**40, 5.0]),
        (pyarrow.float64(), [1.5, None, 0.0, -1e300]),
        (pyarrow.bool_(), [True, None, False, True, True, False, True, True, True]),
    ],
)
def test_columns_are_what_pyarrow_makes_of_lists(type_, values):
    found = _column(values, type_)
    found.validate(full=True)
    assert found.equals(pyarrow.array(values, type_))
