from pathlib import Path

import numpy as np
import pytest

from lit_genre.data.metadata.artists import id_keys
from lit_genre.data.metadata.code_pages import decode_texts
from lit_genre.data.metadata.tags import Tags, read_tags
from tests.helpers.tagged_files import FORMATS, ape, dff, dsf, flac, id3v1, id3v2, mp4, wav, write_tagged

LATIN_1, UTF_16, UTF_16_BE, UTF_8 = b"\0", b"\1", b"\2", b"\3"
IDS = ("aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002")
SOUND = b"\xff\xfb\x90\x64" + bytes(413)
"""A frame of an MP3."""


def read(path: Path, content: bytes) -> Tags:
    path.write_bytes(content)
    return read_tags([path])[0]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_that_ffmpeg_writes_tags_in(tmp_path: Path, kind: str) -> None:
    write_tagged(tmp_path / f"x.{kind}", np.zeros(9600, dtype=np.float32), artist="Кино & Björk", title="Naïve")
    (tags,) = read_tags([tmp_path / f"x.{kind}"])
    assert (tags.artists, tags.title) == (("Кино & Björk",), "Naïve")


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "mka", "wma", "aiff", "wv", "tta", "caf", "aac"])
def test_album_artists_and_ids(tmp_path: Path, kind: str) -> None:
    tags = {"artist": "A", "album_artist": "B", "MUSICBRAINZ_ARTISTID": IDS[0], "MUSICBRAINZ_ALBUMARTISTID": IDS[1]}
    write_tagged(tmp_path / f"x.{kind}", np.zeros(9600, dtype=np.float32), **tags)
    assert read_tags([tmp_path / f"x.{kind}"]) == [Tags(("A",), ("B",), IDS)]


ENCODED = [
    (LATIN_1, "latin-1", b"\0"),
    (UTF_16, "utf-16", b"\0\0"),
    (UTF_16_BE, "utf-16-be", b"\0\0"),
    (UTF_8, "utf-8", b"\0"),
]


@pytest.mark.parametrize(("mark", "encoding", "end"), ENCODED)
@pytest.mark.parametrize("place", ["mp3", "aac", "flac", "tta", "dsf", "dff"])
def test_all_artists_of_id3(tmp_path: Path, place: str, mark: bytes, encoding: str, end: bytes) -> None:
    artists = mark + end.join(name.encode(encoding) for name in ("Café Müller", "Björk"))
    ids = LATIN_1 + b"MusicBrainz Artist Id\0" + "\0".join(IDS).encode()
    tag = id3v2([("TPE1", artists), ("TXXX", ids)])
    content = {"dsf": dsf(tag), "dff": dff(tag), "flac": tag + flac([]), "tta": tag + b"TTA1" + bytes(200)}
    tags = read(tmp_path / f"x.{place}", content.get(place, tag + SOUND))
    assert tags.artists == ("Café Müller", "Björk")
    assert tags.artist_ids == IDS


@pytest.mark.parametrize("name", ["Björk", "Кино", "日本"])
@pytest.mark.parametrize(("version", "frame"), [(2, "TP1"), (3, "TPE1"), (4, "TPE1")])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (UTF_16, "utf-16"),
        (UTF_16, "utf-16-le"),
        (UTF_16, "utf-16-be"),
        (UTF_16_BE, "utf-16-be"),
        (UTF_16_BE, "utf-16-le"),
    ],
)
def test_utf16_in_any_order_of_bytes(
    tmp_path: Path, version: int, frame: str, mark: bytes, encoding: str, name: str
) -> None:
    tag = id3v2([(frame, mark + name.encode(encoding))], version)
    assert read(tmp_path / "x.mp3", tag + SOUND).artists == (name,)


def test_an_unsynchronised_tag(tmp_path: Path) -> None:
    tag = id3v2([("TPE1", UTF_16 + "Björk".encode("utf-16"))], 3, unsynchronised=True)
    assert read(tmp_path / "x.mp3", tag + SOUND).artists == ("Björk",)


@pytest.mark.parametrize("end", [b"", id3v1(b"")])
@pytest.mark.parametrize("kind", ["wv", "tta", "mp3"])
def test_all_artists_of_ape(tmp_path: Path, kind: str, end: bytes) -> None:
    write_tagged(tmp_path / f"x.{kind}", np.zeros(9600, dtype=np.float32))
    tag = ape(
        **{"Artist": "Café Müller\0Björk", "Album Artist": "Кино", "Title": "T", "MUSICBRAINZ_ARTISTID": "\0".join(IDS)}
    )
    tags = read(tmp_path / f"y.{kind}", (tmp_path / f"x.{kind}").read_bytes() + tag + end)
    assert tags == Tags(("Café Müller", "Björk"), ("Кино",), IDS, "T")


def test_all_artists_of_mp4_and_vorbis_comments(tmp_path: Path) -> None:
    assert read(tmp_path / "x.m4a", mp4(["Кино", "Björk"])).artists == ("Кино", "Björk")
    comments = [
        ("ARTIST", "Кино"),
        ("artist", "Björk"),
        ("PERFORMER", "Session Drummer"),
        ("MUSICBRAINZ_ARTISTID", IDS[0]),
    ]
    tags = read(tmp_path / "x.flac", flac(comments))
    assert (tags.artists, tags.artist_ids) == (("Кино", "Björk"), IDS[:1])


def test_performers_and_album_artists_stand_in_for_artists(tmp_path: Path) -> None:
    assert read(tmp_path / "a.flac", flac([("PERFORMER", "A"), ("ALBUMARTIST", "B")])).artists == ("A",)
    assert read(tmp_path / "b.flac", flac([("ALBUMARTIST", "B")])).artists == ("B",)


def test_a_file_is_read_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    assert read(tmp_path / "x.wav", mp4(["Кино"])).artists == ("Кино",)


def test_id3v1_in_cyrillic_is_three_artists_next_to_western_ones(tmp_path: Path) -> None:
    names = ["Кино", "Алла", "Ария"]
    contents = [SOUND + id3v1(name.encode("cp1251")) for name in names]
    contents += [SOUND + id3v1(b"Bj\xf6rk"), id3v2([("TPE1", LATIN_1 + "ДДТ".encode("cp1251"))]) + SOUND]
    contents += [id3v2([("TPE1", LATIN_1 + "Motörhead".encode("latin-1"))]) + SOUND, SOUND + id3v1("Кино".encode())]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.mp3").write_bytes(content)
    tags = read_tags([tmp_path / f"{number}.mp3" for number in range(len(contents))])
    assert [tag.artists[0] for tag in tags] == [*names, "Björk", "ДДТ", "Motörhead", "Кино"]


def test_bytes_that_are_not_utf8_are_kept_for_the_guess(tmp_path: Path) -> None:
    for number, name in enumerate(("Кино", "Алла", "Ария")):
        (tmp_path / f"{number}.wav").write_bytes(wav(name.encode("cp1251")))
    tags = read_tags(sorted(tmp_path.iterdir()))
    assert [tag.artists for tag in tags] == [("Кино",), ("Алла",), ("Ария",)]
    assert read(tmp_path / "x.wav", wav(b"Bj\xf6rk")).artists == ("Björk",)


RUSSIAN = ["Наутилус Помпилиус", "Кино", "Земфира", "Сплин", "Машина времени", "Би-2"]
GREEK = ["Μίκης Θεοδωράκης", "Χαρούλα Αλεξίου", "Γιώργος Νταλάρας"]


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1251", RUSSIAN), ("koi8_r", RUSSIAN), ("cp866", RUSSIAN), ("cp1253", GREEK),
        ("cp932", ["宇多田ヒカル", "浜崎あゆみ", "椎名林檎"]),
        ("gb18030", ["苏芸", "周杰伦", "王菲", "降落之歌", "邓丽君"]),
        ("cp1252", ["Björk", "Sigur Rós", "Guns N’ Roses", "Ñu", "À la claire fontaine", "Öö"]),
    ],
)  # fmt: skip
def test_the_code_page_is_guessed_from_all_texts(encoding: str, names: list[str]) -> None:
    as_latin_1 = [name.encode(encoding).decode("latin-1") for name in names]
    as_bytes = [name.encode(encoding).decode("ascii", "surrogateescape") for name in names]
    decoded = decode_texts([*as_latin_1, *as_bytes, "Björk", "Ünlü", "Кино"])
    assert [decoded[text] for text in as_latin_1] == names
    assert [decoded[text] for text in as_bytes] == names
    assert decoded["Björk"] == "Björk"
    assert decoded["Ünlü"] == "Ünlü"
    assert "Кино" not in decoded


def test_utf8_of_which_the_last_character_is_cut(tmp_path: Path) -> None:
    name = "1 Наутилус Помпилиус"
    assert read(tmp_path / "x.mp3", SOUND + id3v1(name.encode())).artists == ("1 Наутилус Помпи",)
    assert read(tmp_path / "x.mp3", SOUND + id3v1("Sigur Rós".encode("latin-1")[:8])).artists == ("Sigur Ró",)


@pytest.mark.parametrize("content", [b"", b"no music", b"ID3", SOUND, ape(Artist="X")[:-9], id3v2([("TPE1", b"")])])
def test_a_file_without_tags_has_none(tmp_path: Path, content: bytes) -> None:
    tags = read(tmp_path / "x.mp3", content)
    assert (tags.artists, tags.title) == ((), "")
    assert read_tags([tmp_path / "absent.mp3"]) == [Tags(is_readable=False)]


def test_a_tag_of_broken_lengths_ends(tmp_path: Path) -> None:
    tag = bytearray(ape(Artist="X", Title="Y"))
    tag[-16:-12] = b"\xff\xff\xff\x7f"
    assert read(tmp_path / "x.mp3", SOUND + tag).artists == ("X",)
    assert read(tmp_path / "x.dff", b"FRM8" + bytes(12) * 2000) == Tags(is_readable=False)


def test_ids_joined_by_a_slash_are_two() -> None:
    assert id_keys("/".join(IDS)) == {f"mbid:{uuid}" for uuid in IDS}
