import random
import unicodedata
from collections.abc import Iterable

import pytest

from lit_genre.data.metadata.artists import artist_keys, group_by_keys, id_keys, is_nobody


def groups(*names: str) -> list[str]:
    return group_by_keys([artist_keys(name) for name in names])


def are_joined(names: Iterable[str]) -> bool:
    found = groups(*names)
    return all(found) and len(set(found)) == 1


@pytest.mark.parametrize(
    "spellings",
    [
        ["Björk", unicodedata.normalize("NFD", "Björk"), "BJÖRK ", "Bjork", "Ｂｊöｒｋ"],
        ["Guns N' Roses", "Guns N’ Roses", "Guns N‘ Roses", "Guns N` Roses", "Guns N´ Roses", "guns n roses"],
        ["Jay-Z", "Jay\u2010Z", "Jay\u2011Z", "Jay\u2013Z", "Jay Z", "JAY\u2212Z"],
        ["The Beatles", "Beatles", "Beatles, The", "the  beatles", "Beatles (The)", "THE BEATLES"],
        ["Die Ärzte", "Ärzte, Die", "die ärzte"],
        ["A Tribe Called Quest", "Tribe Called Quest, A"],
        ["Los Lobos", "Lobos, Los"],
        ["AC/DC", "AC-DC", "ACDC", "Ac/Dc"],
        ["R.E.M.", "REM", "r.e.m"],
        ["Simon & Garfunkel", "Simon and Garfunkel", "Simon + Garfunkel", "Simon&Garfunkel"],
        ["Bach, Johann Sebastian", "Johann Sebastian Bach"],
        ["Кино", "КИНО", "кино"],
        ["Ёлка", "Елка"],
        ["ﾊﾟﾌｭｰﾑ", "パフューム"],
    ],
)
def test_spellings_of_an_artist_are_one(spellings: list[str]) -> None:
    assert are_joined(spellings)


@pytest.mark.parametrize(
    "joined",
    [
        "{} feat. {}", "{} feat {}", "{} ft. {}", "{} ft {}", "{} Featuring {}", "{} (feat. {})", "{} [ft. {}]",
        "{} f/ {}",
        "{} vs. {}", "{} vs {}", "{} versus {}", "{} with {}", "{} (with {})", "{} w/ {}", "{} x {}", "{} X {}",
        "{} × {}",
        "{} & {}", "{} and {}", "{} und {}", "{} et {}", "{} y {}", "{} + {}", "{}; {}", "{};{}", "{}/{}", "{} / {}",
        "{}, {}", "{} | {}", "{}\0{}", "{} • {}", "{}、{}", "{} presents {}",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("first", "second"), [("Nina Simone", "Tricky"), ("A", "B"), ("U2", "Кино"), ("Björk", "椎名林檎")]
)
def test_partners_are_one_with_both(joined: str, first: str, second: str) -> None:
    assert are_joined([first, joined.format(first, second), second])


def test_songs_that_share_a_partner_are_one() -> None:
    assert are_joined(["Tricky & Nina Simone", "Massive Attack feat. Tricky", "Massive Attack"])


@pytest.mark.parametrize(
    "names",
    [
        ["Earth, Wind & Fire", "Simon & Garfunkel", "Crosby, Stills & Nash", "Peter, Paul and Mary", "10,000 Maniacs"],
        ["Nick, Mary & Joe", "Peter, Paul and Mary", "Sam & Dave", "Chas & Dave", "Drum & Bass 1", "Drum & Bass 2"],
        ["Bach, Johann Sebastian", "Strauss, Johann", "Pachelbel, Johann", "Strauss, Richard"],
        ["Willie & Friends", "Luciano and Friends", "Friends"],
        ["Bob Dylan & The Band", "Steve Miller and the Band", "The Band"],
        ["Duke Ellington & His Orchestra", "Benny Goodman and his Orchestra", "Orchestra",
        "Kay Kyser & his 12 piece orchestra"],
        ["Sly & The Family", "Ann and Her Brothers", "Cy & Sons", "Eve and Guests", "Dee & Co."],
        ["Tyler, The Creator", "10,000 Maniacs", "P!nk", "!!!", "???", "+/-", "Кино", "椎名林檎", "فيروز", "The The",
        "A", "X"],
        ["Artist 1-11", "Artist 11-1", "Artist 1 1 1", "Artist 111", "Artist"],
        ["AC/DC", "AB/CD", "R&B Allstars", "C&C Music Factory"],
        ["Various Artists feat. Björk", "Various Artists feat. Tricky"],
    ],
)  # fmt: skip
def test_other_artists_stay_apart(names: list[str]) -> None:
    found = groups(*names)
    assert all(found)
    assert len(set(found)) == len(names)


def test_a_word_of_a_name_counts_if_it_is_an_artist() -> None:
    assert are_joined(["Rihanna, Drake", "Drake"])
    assert are_joined(["Rihanna, Drake & Jay-Z", "Rihanna"])
    assert are_joined(["Rihanna & Drake", "Drake", "Drake x Nick"])
    assert not are_joined(["Rihanna, Drake", "Drake, Nick"])


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "-", "--", "—", "_", "[unknown]", "<unknown>", "(Unknown)", "Unknown Artist", "unknown  artist",
        "UNKNOWN",
        "V.A.", "VA", "V/A", "v. a.", "Various", "Various Artist", "Various Artists", "[Various Artists]", "(various)",
        "Artistes Divers", "Artistes divers", "Soundtrack", "OST", "O.S.T.", "N/A", "n/a", "None", "null",
        "Unknown Artist 3",
        "Unbekannter Interpret", "Unbekannter Künstler", "Unbekannter Ku\u0308nstler", "Verschiedene Interpreten",
        "Diverse",
        "Artista desconocido", "Varios Artistas", "Artista Desconhecido", "Vários Artistas", "Artista sconosciuto",
        "Artisti Vari", "AA.VV.", "Onbekende artiest", "Diverse artiesten", "Okänd artist", "Nieznany wykonawca",
        "Różni wykonawcy", "Неизвестный исполнитель", "неизвестен", "Разные исполнители", "Сборник",
        "不明なアーティスト",
        "ヴァリアス・アーティスト", "未知艺术家", "群星", "알 수 없는 아티스트", "Original Soundtrack", "Compilation",
        "[no artist]",
        "[anonymous]", "[traditional]", "Various Artists; [unknown]",
    ],
)  # fmt: skip
def test_names_of_nobody_have_no_keys(name: str) -> None:
    assert not artist_keys(name)


def test_who_only_sounds_like_nobody_is_somebody() -> None:
    assert not any(
        map(is_nobody, ["Various Production", "The Unknown Cases", "Anonymous 4tet", "Nada Surf", "?", "..?"])
    )


def test_ids_and_those_of_nobody() -> None:
    uuid = "AAAAAAAA-0000-4000-8000-000000000001"
    assert id_keys(f"{uuid}; 89ad4ac3-39f7-470e-963a-56509c546377") == {f"mbid:{uuid.lower()}"}
    assert not id_keys("125ec42a-7229-4250-afc5-e057484327fe, none")


def test_groups_follow_from_the_songs_in_any_order() -> None:
    draw = random.Random(0)
    names = [f"Artist {n // 2}" + (f" feat. Guest {n // 6}" if n % 2 else "") for n in range(60)] + ["Various"] * 3
    order = draw.sample(range(len(names)), len(names))
    found, shuffled = groups(*names), groups(*(names[n] for n in order))
    assert [found[n] for n in order] == shuffled
    assert len(set(found)) == 11
    assert found[-3:] == ["", "", ""]
    assert group_by_keys([]) == []
