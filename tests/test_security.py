"""Malicious inputs, through the real commands: each is refused in one line or does no harm.

Beside these, `site.test_prose` has hostile notes, `site.test_serve` hostile requests,
`site.check.test_hostile` hostile sites and `examples.test_bad_files` and `test_decode` bad images.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import tarfile
import time
import zipfile
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch

from tests.conftest import make_photo
from tests.forked import Forked, tree

OPTIONS = (
    "--model", "googlenet-mini", "--units", "conv2d0:20", "--size", "32", "--steps", "1",
    "--kinds", "positive",
)  # fmt: skip
MEMORY = """
import resource
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
"""
"""Leaves a command 1 GiB beside what PyTorch takes."""


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    with Forked(tmp_path_factory.mktemp("forked")) as atlas:
        yield atlas


@pytest.fixture
def project(tmp_path):
    """A project's folder beside a secret."""
    (tmp_path / "secret.txt").write_text("the secret")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "atlas.toml").write_text('[site]\nformat = "jpeg"\n')
    return folder


@pytest.fixture
def atlas(forked, project):
    """Runs a command in the project."""

    def run(command, *arguments, before="", options=OPTIONS):
        return forked(command, *options, *arguments, before=f"os.chdir({str(project)!r})\n{before}")

    return run


def refused(done, *words, code=2):
    """One line that says what is wrong, and nothing that a terminal would obey."""
    assert done.code == code, done.out + done.err
    assert len(done.err.splitlines()) == 1, done.err
    line = done.err.strip()
    assert line.startswith("atlas: ")
    assert line.isprintable()
    for word in words:
        assert word in line
    assert "the secret" not in done.err + done.out


# Pickles


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark):
        self._mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self._mark,)


def as_torch(bomb):
    buffer = io.BytesIO()
    torch.save({"conv1.weight": torch.zeros(2), "more": bomb}, buffer)
    return buffer.getvalue()


def as_old_torch(bomb):
    buffer = io.BytesIO()
    torch.save(bomb, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


PICKLES = {
    "torch": as_torch, "old torch": as_old_torch, "plain": pickle.dumps,
    "oldest": lambda bomb: pickle.dumps(bomb, 0),
}  # fmt: skip


def test_the_bombs_go_off(tmp_path):
    """Who unpickles one in good faith makes a folder: so the tests below mean something."""
    for name, make in PICKLES.items():
        data, mark = make(Bomb(tmp_path / name)), tmp_path / name
        if "torch" in name:
            torch.load(io.BytesIO(data), weights_only=False)
        else:
            pickle.loads(data)
        assert mark.is_dir()


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.bin", "net.safetensors"])
def test_weights_are_never_unpickled(atlas, project, kind, name):
    mark = project / "mark"
    (project / name).write_bytes(PICKLES[kind](Bomb(mark)))
    # PyTorch can be told to trust files; a config cannot be what tells it.
    trusting = "os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'"
    refused(atlas("build", "--weights", name, before=trusting), f"weights file {name}")
    assert not mark.exists()
    assert not (project / "site").exists()


def test_weights_that_would_unpack_to_more_are_not_read(atlas, project):
    with zipfile.ZipFile(project / "net.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", pickle.dumps({}))
        archive.writestr("net/data/0", bytes(200_000_000))
    done = atlas("build", "--weights", "net.pth", before=MEMORY)
    refused(done, "would unpack from", "to 200,000,00")


@pytest.mark.parametrize("labels", ["[" * 100_000, "{", '"text"', "[[1]]", "null"])
def test_labels_in_weights_may_say_anything(atlas, project, labels):
    from safetensors.torch import load_file, save_file

    from atlas.models.zoo import _DATA

    state = load_file(_DATA / "googlenet-mini.safetensors")
    save_file(state, project / "net.safetensors", {"labels": labels})
    done = atlas("render", "--weights", "net.safetensors", "--dry-run")
    assert (done.code, done.err) == (0, "")


def test_directions_and_statistics_are_never_unpickled(atlas, project):
    mark = project / "mark"
    np.save(project / "objects.npy", np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    (project / "plain.npy").write_bytes(pickle.dumps(Bomb(mark)))
    np.savez(project / "several.npz", a=np.zeros(3))
    (project / "several.npz").rename(project / "several.npy")
    plain = ("--model", "googlenet-mini", "--size", "32", "--steps", "1")
    for name in ("objects.npy", "plain.npy", "several.npy"):
        refused(atlas("show", f"dir:conv2d0:{name}", options=plain), f"direction {name}")
    (project / "s.npz").write_bytes(pickle.dumps(Bomb(mark)))
    for option in (("--parameterization", "maco", "--spectrum"), ("--colours",)):
        refused(atlas("show", "conv2d0:1", *option, "s.npz", options=plain), "s.npz is no")
    assert not mark.exists()


def test_what_is_in_a_store_is_never_unpickled(atlas, project, photos):
    dataset = ("--dataset", f"folder:{photos}")
    # The state of a pass that was cut short is what the next one begins with.
    unfinished = """
import atlas.build, atlas.survey
atlas.survey.EVERY_IMAGES = atlas.survey.EVERY_SECONDS = 0
atlas.survey.Survey.forget = atlas.build.Project._drop_states = lambda *_: None
"""
    assert atlas("build", *dataset, before=unfinished).code == 0
    mark = project / "mark"
    entries = list((project / "store" / "objects").rglob("*.*"))
    assert {entry.suffix for entry in entries} >= {".png", ".safetensors"}
    assert any(b"examples-pass" in entry.read_bytes() for entry in entries), "no unfinished pass"
    for entry in (*entries, project / "store" / "manifest.sqlite"):
        entry.write_bytes(pickle.dumps(Bomb(mark)))
    before = tree(project / "site")
    done = atlas("build", *dataset)
    assert done.code == 0, done.err
    assert done.err.count("damaged: ") >= len(entries)
    assert not mark.exists()
    assert tree(project / "site") == before


@pytest.mark.parametrize("suffix", ["pkl", "pickle", "pyd", "pth", "npy"])
def test_datasets_are_never_unpickled(atlas, project, suffix):
    mark, folder = project / "mark", project / "data" / "train"
    folder.mkdir(parents=True)
    photo = io.BytesIO()
    make_photo(np.random.default_rng(1), 40, 40).save(photo, "PNG")
    with tarfile.open(folder / "0.tar", "w") as tar:
        for name, data in (("0.png", photo.getvalue()), (f"0.{suffix}", as_torch(Bomb(mark)))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    done = atlas("examples", "--dataset", "hf:./data")
    assert done.code in (0, 2), done.err
    assert not any("Traceback" in line for line in done.err.splitlines())
    assert not mark.exists()


# Paths


@pytest.mark.parametrize(
    "units",
    ["../../secret.txt", "/etc/passwd", "conv2d0:../1", "conv2d0/../..:1", "..:1", "~:1", "$HOME",
     "conv2d0:0-99999999999999999999", "\x1b[31mred:1", "<script>:1", "conv2d0:1\n../x", "a" * 9999,
     "conv2d0:" + "9" * 5000],
)  # fmt: skip
def test_units_are_names_and_not_paths(atlas, project, units):
    refused(atlas("build", "--units", units))
    assert tree(project.parent) == {
        "project/atlas.toml": b'[site]\nformat = "jpeg"\n',
        "secret.txt": b"the secret",
    }


CONFIGS = {
    '[model]\nname = "../secret.txt"': "unknown model",
    '[model]\nname = "googlenet-bvlc"\nweights = "../secret.txt"': "not a PyTorch file",
    '[model]\nweights = "/dev/zero"': "is not a file",
    '[model]\nweights = "pipe"': "is not a file",
    '[render]\nstart = "../secret.txt"': "not an image",
    '[render]\nstart = "/dev/zero"': "not a regular file",
    '[render]\nstart = "pipe"': "not a regular file",
    '[render]\ncolours = "/dev/zero"': "not a regular file",
    '[render]\ncolours = "pipe"': "not a regular file",
    '[render]\ncolours = "deep.json"': "is no colours file",
    '[render]\nparameterization = "maco"\nspectrum = "../secret.txt"': "is no spectrum file",
    '[site]\nurl = "javascript:alert(1)"': "site.url",
    '[site]\nurl = "file:///etc"': "site.url",
    '[site]\nmedia_base_url = "https://a\\"><script>"': "site.media_base_url",
    '[site]\nout = "../secret.txt"': "cannot write the site to",
    'store = "../secret.txt"': "cannot write",
    '[dataset]\nsource = "folder:../secret.txt"': "does not exist",
    '[dataset]\nsource = "parquet:../secret.txt"': "is no parquet file",
    '[dataset]\nsource = "parquet:pipe"': "no parquet file matches",
    '[dataset]\nsource = "file:../secret.txt"': "should be written",
    '[dataset]\nsource = "folder:bad\\u0000name"': "",
    "x = " + "[" * 100_000: "is not TOML",
    "x = " + "{a=" * 100_000: "is not TOML",
    f"# {'x' * 5_000_000}": "more than",
}


@pytest.mark.parametrize("text", CONFIGS, ids=lambda text: text[:40])
def test_configs_read_no_other_file_as_what_it_is_not(atlas, project, text):
    os.mkfifo(project / "pipe")
    (project / "deep.json").write_text("[" * 100_000)
    (project / "bad.toml").write_text(text)
    started = time.monotonic()
    options = () if "[model]" in text else ("--model", "googlenet-mini")
    refused(
        atlas("build", "--units", "conv2d0:20", "-c", "bad.toml", before=MEMORY, options=options),
        CONFIGS[text],
    )
    assert time.monotonic() - started < 20
    assert (project.parent / "secret.txt").read_text() == "the secret"


def test_a_pipe_is_no_config(atlas, project):
    os.mkfifo(project / "pipe")
    refused(atlas("build", "-c", "pipe"), "not a regular file")
    refused(atlas("build", "-c", "/dev/zero"), "not a regular file")


@pytest.mark.parametrize("place", ["content/notes.md", "content/layers", "templates/static/x.css",
                                   "templates/base.html.jinja"])  # fmt: skip
def test_notes_and_templates_are_of_their_folder(atlas, project, place):
    """What is in them is published."""
    path = project / place
    path.parent.mkdir(parents=True)
    secret = project.parent / ("secret.txt" if path.suffix else "")
    path.symlink_to(secret)
    kind = place.partition("/")[0]
    (project / "atlas.toml").write_text(f'[site]\n{kind} = "{kind}"\n')
    refused(atlas("build"), f"{place} is a link out of {kind}; put the file itself there")


def test_a_site_is_written_where_it_is(atlas, project):
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "20.html").write_text("mine")
    (project / "site").mkdir()
    (project / "site" / "conv2d0").symlink_to(elsewhere)
    refused(atlas("build"), "site/conv2d0 is a link out of the site; remove it")
    assert tree(elsewhere) == {"20.html": b"mine"}


def test_a_file_of_a_site_that_is_a_link_is_replaced_and_not_followed(atlas, project):
    (project / "site").mkdir()
    (project / "site" / "index.html").symlink_to(project.parent / "secret.txt")
    assert atlas("build").code == 0
    assert (project.parent / "secret.txt").read_text() == "the secret"
    assert not (project / "site" / "index.html").is_symlink()


# Datasets


def photo_bytes(number):
    buffer = io.BytesIO()
    make_photo(np.random.default_rng(number), 64, 64).save(buffer, "PNG")
    return buffer.getvalue()


def bomb_png(side):
    """A black picture of so many pixels a side, 1 bit each: some 25 kB where it has 40,000."""
    squeeze = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    body = b"".join(squeeze.compress(row * 100) for _ in range(side // 100)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_links_out_of_a_dataset_are_not_followed(atlas, project):
    folder, away = project / "photos" / "owl", project.parent / "private"
    folder.mkdir(parents=True)
    away.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(photo_bytes(number))
    (away / "secret.png").write_bytes(photo_bytes(9))
    (folder / "a.png").symlink_to(away / "secret.png")
    (folder / "b.png").symlink_to("../../../private/secret.png")
    (folder / "c.png").symlink_to("0.png")
    (project / "photos" / "more").symlink_to(away)
    # Whoever opens it betrays himself: nobody is to know even its size.
    reads = """
import builtins, io, pathlib, sys
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith(("secret.png", "a.png", "b.png")):
        print("opened", arguments[0], flush=True)
sys.addaudithook(hook)
"""
    done = atlas("build", "--dataset", "folder:photos", before=reads)
    assert done.code == 0, done.err
    assert "opened" not in done.out
    reason = "a link out of the dataset's folder"
    assert (
        f"skipped 2 unreadable of 6 images: owl/a.png ({reason}), owl/b.png ({reason})" in done.err
    )
    manifest = (project / "site" / "manifest.json").read_text()
    assert '"owl/c.png"' in manifest
    assert "secret" not in manifest


def test_rows_cannot_point_out_of_their_dataset(atlas, project):
    private = project.parent / "private.png"
    private.write_bytes(photo_bytes(9))
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    paths = [str(private), "../private.png", f"file://{private}", "/etc/passwd"]
    rows = [{"bytes": photo_bytes(1), "path": "/etc/passwd"}]
    rows += [{"bytes": None, "path": path} for path in paths]
    (project / "data").mkdir()
    table = pyarrow.table({"image": pyarrow.array(rows, kind), "label": ["owl"] * 5})
    pyarrow.parquet.write_table(table, project / "data" / "train.parquet")
    done = atlas("examples", "--dataset", "hf:./data")
    assert done.code == 0, done.err
    assert done.err.count("its row points to a file that is not of the dataset") == 4
    done = atlas("examples", "--dataset", "parquet:data/*.parquet")
    assert done.code == 0, done.err
    assert done.err.count("the row holds no image") == 4


def test_an_image_of_1600_million_pixels_takes_no_memory(atlas, project):
    folder = project / "photos"
    folder.mkdir()
    bomb = bomb_png(40_000)
    assert len(bomb) < 300_000
    (folder / "bomb.png").write_bytes(bomb)
    (folder / "good.png").write_bytes(photo_bytes(1))
    reason = "too large"
    done = atlas("build", "--dataset", "folder:photos", before=MEMORY)
    assert done.code == 0, done.err
    assert f"skipped 1 unreadable of 2 images: bomb.png ({reason})" in done.err
    plain = ("--model", "googlenet-mini", "--size", "32", "--steps", "1")
    start = ("--start", "photos/bomb.png")
    done = atlas("show", "conv2d0:1", *start, before=MEMORY, options=plain)
    refused(done, "photograph photos/bomb.png cannot be used: too large")


def test_a_parquet_file_that_would_unpack_to_gigabytes_takes_no_memory(atlas, project):
    path = project / "bomb.parquet"
    table = pyarrow.table({"image": pyarrow.array([bytes(4 << 20)] * 10)})
    more = {"compression": "zstd", "use_dictionary": False}
    with pyarrow.parquet.ParquetWriter(path, table.schema, **more) as writer:
        writer.write_table(pyarrow.concat_tables([table] * 40), 400)
    assert path.stat().st_size < 1_000_000
    done = atlas("examples", "--dataset", "parquet:bomb.parquet", before=MEMORY)
    refused(done, "none of the 400 images", "of rows would unpack to 1678 MB")


def test_a_parquet_file_whose_footer_says_less_takes_no_memory(atlas, project):
    path = project / "bomb.parquet"
    table = pyarrow.table({"image": pyarrow.array([bytes(4 << 20)] * 10)})
    with pyarrow.parquet.ParquetWriter(
        path, table.schema, compression="zstd", use_dictionary=False
    ) as writer:
        writer.write_table(pyarrow.concat_tables([table] * 40), 400)

    def column():
        return pyarrow.parquet.ParquetFile(path).metadata.row_group(0).column(0)

    def varint(number, length):
        groups = [(number >> shift & 127) | 128 for shift in range(0, 7 * length, 7)]
        return bytes([*groups[:-1], groups[-1] & 127])

    true = column().total_uncompressed_size
    data, lie = path.read_bytes(), varint(2 * 2_000_000, 5)
    assert data.count(varint(2 * true, 5)) >= 1
    path.write_bytes(data.replace(varint(2 * true, 5), lie))
    assert (true, column().total_uncompressed_size) == (1_677_724_440, 2_000_000)
    done = atlas("examples", "--dataset", "parquet:bomb.parquet", before=MEMORY)
    refused(done, "none of the 400 images", "of rows would unpack to 1678 MB")


SCRIPTS = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</title><script>alert(1)//",
    "javascript:alert(1)", "{{ 7*7 }}{% include '/etc/passwd' %}", "../../../secret", "..", "/",
    "con", "a\x00b\x1b[31m", "\u202egnp.exe", "' onmouseover='alert(1)", "a" * 3000,
]  # fmt: skip


def test_hostile_labels_and_names_are_text(atlas, project):
    names = [*SCRIPTS, ".", "-->", "]]>", "`${alert(1)}`", "🙂", ""]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    rows = [{"bytes": photo_bytes(i), "path": name} for i, name in enumerate(names)]
    (project / "data").mkdir()
    table = pyarrow.table({"image": pyarrow.array(rows, kind), "label": names})
    pyarrow.parquet.write_table(table, project / "data" / "<b onclick=x>.parquet")
    (project / "atlas.toml").write_text(
        '[site]\nformat = "jpeg"\ntitle = "</title><script>alert(1)</script>"\n'
    )
    before = tree(project.parent).keys()
    done = atlas("build", "--dataset", "parquet:data/*.parquet")
    assert done.code == 0, done.err
    assert (done.out + done.err).replace("\n", "").isprintable()
    new = tree(project.parent).keys() - before
    assert {name.split("/")[1] for name in new} == {"site", "store"}
    assert_harmless(project / "site")
    checked = atlas("check", "site", options=())
    assert checked.code == 0, checked.out


_TARGETS = {"href", "src", "srcset", "action", "formaction", "data", "content", "xlink:href"}
_RUN = ("javascript:", "vbscript:", "data:text", "data:image/svg")


class Handlers(HTMLParser):
    """Everything of a page that could run."""

    def __init__(self, page):
        super().__init__()
        self.found, self._script = [], False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self._script = tag == "script"
        for name, value in attributes:
            bare = re.sub(r"[\x00-\x20]", "", value or "").lower()
            if name.startswith("on") or (name in _TARGETS and bare.startswith(_RUN)):
                self.found.append((tag, name, value))

    def handle_data(self, data):
        if self._script and "alert" in data:
            self.found.append(("script", "", data))


def assert_harmless(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 3
    for page in pages:
        assert Handlers(page.read_text("utf-8")).found == [], page


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.mkdir('mark') }}",
        "{{ self.__init__.__globals__ }}",
        "{% include '../../secret.txt' %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
    ],
)
def test_templates_of_others_reach_nothing_else(atlas, project, text):
    (project / "templates").mkdir()
    (project / "templates" / "404.html.jinja").write_text(f"<!doctype html>{text}")
    (project / "atlas.toml").write_text('[site]\nformat = "jpeg"\ntemplates = "templates"\n')
    done = atlas("build", "-q")
    refused(done, "template")
    assert not (project / "mark").exists()


NOTE = """---
title: ../../../etc/<script>alert(1)</script>
summary: <img src=x onerror=alert(1)> [x](javascript:alert(1))
page: ../../out.html
---
# <script>alert(1)</script>

<svg onload="alert(1)"><script>alert(1)</script></svg>

![a](x.svg) ![b](data:image/svg+xml;base64,PHN2Zy8+) ![c](../../secret.txt)
[d](../../secret.txt) [e](file:///etc/passwd) <a href="javascript:alert(1)">f</a>
"""


def test_hostile_notes_are_text(atlas, project):
    content = project / "content"
    (content / "layers").mkdir(parents=True)
    (content / "..;evil.md").write_text(NOTE)
    (content / "x<script>.md").write_text(NOTE)
    (content / "layers" / "conv2d0.md").write_text(NOTE)
    (project / "atlas.toml").write_text('[site]\nformat = "jpeg"\ncontent = "content"\n')
    done = atlas("build")
    assert done.code == 0, done.err
    assert_harmless(project / "site")
    assert {path.name for path in project.parent.iterdir()} == {"project", "secret.txt"}
    assert (project / "site" / "x-script.html").is_file()
    for name in ("x-script.html", "conv2d0/index.html"):
        page = (project / "site" / name).read_text()
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert not re.search(r'(?:href|src)="[^"]*(?:secret|passwd|data:)', page)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'


def test_an_svg_is_no_photograph(atlas, project):
    folder = project / "photos"
    folder.mkdir()
    for name in ("a.svg", "b.png", "c.jpg"):
        (folder / name).write_bytes(SVG)
    (folder / "d.png").write_bytes(photo_bytes(1))
    done = atlas("build", "--dataset", "folder:photos")
    assert done.code == 0, done.err
    assert "skipped 2 unreadable of 3 images: b.png (not an image" in done.err
    assert not any(b"<script>alert" in data for data in tree(project / "site").values())
    assert not any(name.endswith(".svg") for name in tree(project / "site" / "media"))
    assert Path(project / "site" / "index.html").is_file()
