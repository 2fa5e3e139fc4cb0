"""Find the tracks that share an artist, in any spelling and with any guests.

Each name is converted to keys, and two tracks that share a key belong to one group. A group that is too large costs
little. An artist in two groups may be in training and in test, and the score is then optimistic.

Reference: Flexer, "A Closer Look on Artist Filters for Musical Genre Classification", ISMIR 2007.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

_IF_KNOWN: Final = "if known: "
"""Prefix of a key that counts only if another track has the key without it."""

_SHORT: Final = 3
"""Least number of characters of a part of a name that is an artist by itself."""

# "The Beatles" and "Beatles" are one artist, but "A" and "Die" may be a whole name.
_ARTICLE_FIRST: Final = re.compile(r"the +(?=\S)")
# "Beatles, The", "Ärzte, Die", "Beatles (The)".
_ARTICLES: Final = "the|an?|die|der|das|les?|la|las|los|el|il|lo|gli|i|de|het|os|as|den|det"
_ARTICLE_LAST: Final = re.compile(rf"(.+?)(?:,\s*\(?|\s*\()({_ARTICLES})\)?")

_GUEST: Final = re.compile(
    r"[;|\\\0]|\s[·•]\s|\s*[(\[]?(?:\b(?:feat|ft|featuring|vs|versus|pres|presents)\b\.?|\b[fw]/)\s*(?=[\w\"'(\[])"
)
_LIST: Final = re.compile(r",\s+|、")
_SLASH: Final = re.compile(r"\s*/\s*")
_JOINER: Final = re.compile(r"\s*[&+×]\s*|\s+[(\[]?(?:and|und|et|y|och|og|и|with|mit|avec|x)\s+")

# "X & Friends", "X and his Orchestra", "X & the Band": a part that has only such words names no artist.
_GENERIC: Final = frozenset(
    """
    all amici amigos amis an and band banda bands big boys brass brother brothers chamber choeur choir chor chorus co
    combo company crew das de der des die ensemble et everybody everyone family folks freunde friend friends gang girls
    group groupe gruppe guest guests gäste her hers his la las le les los more musicians my orch orchester orchestra
    orchestras orchestre orkest orkester orquesta other others our philharmonic player players quartet quintet rhythm
    sa seine sein septet sextet ses singer singers sister sisters son sons special star stars string strings symphony
    the their trio und various your друзья оркестр
    """.split()  # noqa: SIM905
)

_NOBODY_NAMES: Final = """
    unknown; unknown artist; unknown artists; unknown performer; artist unknown; no artist; untitled artist;
    new artist; none; null; nil; n/a; not available; not applicable; undefined; unspecified; anonymous; anon;
    traditional; trad; misc; miscellaneous; various; various artist; various artists; various performers;
    various composers; various interprets; varios; v.a.; v/a; multiple artists; several artists; many artists;
    assorted artists; mixed artists; diverse; compilation; compilations; sampler; soundtrack; soundtracks;
    original soundtrack; original sound track; ost; o.s.t.; original motion picture soundtrack; movie soundtrack;
    film soundtrack; tv soundtrack; game soundtrack; original score; original cast; original broadway cast;
    original cast recording; christmas music; church chimes; nature sounds; language instruction; unbekannt;
    unbekannter; unbekannter interpret; unbekannter künstler; unbekannte künstler; unbekannte interpreten;
    interpret unbekannt; künstler unbekannt; verschiedene; verschiedene interpreten; verschiedene künstler;
    diverse interpreten; diverse künstler; div.; div. interpreten; kein; keine; kein interpret; filmmusik; anonym;
    inconnu; artiste inconnu; artistes inconnus; interprète inconnu; artistes divers; divers; divers artistes;
    interprètes divers; divers interprètes; artistes variés; multi-interprètes; bande originale;
    bande originale du film; bande-son; aucun; anonyme; desconocido; artista desconocido; intérprete desconocido;
    varios artistas; artistas varios; varios intérpretes; intérpretes varios; artistas variados; banda sonora;
    banda sonora original; ninguno; anónimo; desconhecido; artista desconhecido; intérprete desconhecido; vários;
    vários artistas; artistas vários; vários intérpretes; trilha sonora; nenhum; anônimo; sconosciuto;
    artista sconosciuto; artisti vari; vari; vari artisti; interpreti vari; aa.vv.; colonna sonora; nessuno; anonimo;
    onbekend; onbekende artiest; artiest onbekend; diverse artiesten; verschillende artiesten; diversen; geen; okänd;
    okänd artist; blandade artister; diverse artister; olika artister; ukjent; ukjent artist; forskjellige artister;
    ukendt; ukendt kunstner; diverse kunstnere; tuntematon; tuntematon artisti; tuntematon esittäjä; eri esittäjiä;
    eri artisteja; useita esittäjiä; nieznany; nieznany artysta; nieznany wykonawca; różni; różni wykonawcy;
    różni artyści; składanka; brak; neznámý; neznámý umělec; neznámý interpret; různí; různí interpreti; různí umělci;
    neznámy interpret; rôzni interpreti; ismeretlen; ismeretlen előadó; különböző előadók; vegyes előadók; válogatás;
    necunoscut; artist necunoscut; diverși artiști; bilinmeyen; bilinmeyen sanatçı; çeşitli sanatçılar; άγνωστος;
    άγνωστος καλλιτέχνης; διάφοροι; διάφοροι καλλιτέχνες; неизвестен; неизвестно; неизвестный;
    неизвестный исполнитель; неизвестный артист; неизвестные исполнители; исполнитель неизвестен; разные;
    разные исполнители; разные артисты; различные исполнители; сборник; саундтрек; нет; нет данных; невідомий;
    невідомий виконавець; різні виконавці; неизвестен изпълнител; разни изпълнители; 不明; 不明なアーティスト;
    アーティスト不明; アーティスト不詳; 不詳; ヴァリアス; ヴァリアス・アーティスト; ヴァリアス・アーティスツ;
    オムニバス; サウンドトラック; オリジナル・サウンドトラック; なし; 未知; 未知艺术家; 未知藝術家; 未知歌手;
    未知艺人; 未知演出者; 不详; 佚名; 群星; 华语群星; 合辑; 合輯; 各种艺人; 多位艺人; 各種藝人; 多位藝人; 多位艺术家;
    原声带; 原聲帶; 影视原声; 电影原声; 无; 無; 알 수 없는 아티스트; 알 수 없음; 미상; 여러 아티스트; 다양한 아티스트;
    여러 가수; 사운드트랙
"""
"""Names that programs and people write for an unknown artist, or for many artists; compared by `artist_key`."""

_NUMBERED_NOBODY: Final = re.compile(r"(?:unknown|unknownartist)\d+")
"""Key of names such as "Unknown Artist 3", which programs write for discs without metadata."""

_NOBODY_IDS: Final = frozenset(
    (
        "89ad4ac3-39f7-470e-963a-56509c546377",  # Various Artists
        "125ec42a-7229-4250-afc5-e057484327fe",  # [unknown]
        "f731ccc4-e22a-43af-a747-64213329e088",  # [anonymous]
        "eec63d3c-3b81-4ad4-b1e4-7c147d4d2b61",  # [no artist]
        "9be7f096-97ec-4615-8957-8d40b5dcbc41",  # [traditional]
        "33cf029c-63b0-41a0-9855-be2a3665fb3b",  # [data]
        "314e1c25-dde7-4e4d-b2f4-0a7b9f7c56dc",  # [dialogue]
    )
)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@lru_cache(maxsize=1 << 16)
def artist_keys(text: str) -> frozenset[str]:
    """Return the keys of the artists that a text names.

    Case, accents, quotes, hyphens, spaces, other signs and the English article are ignored. Guests and partners have
    their own keys. The whole name has a key, too, because it may be the name of a band. Names such as "Various Artists"
    have no key.

    Args:
        text: Name of an artist, or of several, separated by semicolons.

    Returns:
        The keys. A key that begins with "if known: " counts only if another track has the rest of it as its key: a
        single word between "&" or commas is as often a part of a band's name, or a first name, as an artist.

    >>> sorted(artist_keys("The Beatles")) == sorted(artist_keys("beatles, the"))
    True
    >>> sorted(artist_keys("Björk feat. Thom Yorke"))
    ['bjork', 'thomyorke']
    >>> sorted(artist_keys("Simon & Garfunkel"))
    ['if known: garfunkel', 'if known: simon', 'simongarfunkel']
    >>> sorted(artist_keys("[unknown]"))
    []
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    if is_nobody(text):
        return frozenset()
    keys: set[str] = set()
    for name in _GUEST.split(text):
        keys.add(artist_key(name))
        for side in _SLASH.split(name):
            keys |= {_part_key(side), *_partner_keys(side)}
    return frozenset(key for key in keys if key and key not in _NOBODY)


def _partner_keys(name: str) -> set[str]:
    if _ARTICLE_LAST.fullmatch(name.strip()):
        return set()
    items = _LIST.split(name)
    parts = [part for item in items for part in _JOINER.split(item)]
    if len(parts) == 1:
        return set()
    keys = {_part_key(part, is_partner=True) for part in (*items, *parts)}
    if len(items) == len(parts) == 2:  # As in "Bach, Johann Sebastian".
        keys.add(artist_key(f"{items[1]} {items[0]}"))
    return keys


def _part_key(part: str, is_partner: bool = False) -> str:
    words = re.findall(r"\w+", part)
    key = artist_key(part)
    if all(word in _GENERIC or word.isdecimal() for word in words):
        return ""
    # AC/DC has such short parts, too, and Simon & Garfunkel or Earth, Wind & Fire are names of single words.
    is_vague = (len(key) < _SHORT and key.isascii()) or (is_partner and len(words) == 1)
    return f"{_IF_KNOWN}{key}" if is_vague else key


def artist_key(name: str) -> str:
    """Return one key for all spellings of one name: its letters and digits, or its signs if it has no letters.

    >>> artist_key("Guns N’ Roses"), artist_key("Guns N' Roses "), artist_key("!!!")
    ('gunsnroses', 'gunsnroses', '!!!')
    """
    name = unicodedata.normalize("NFKC", name).casefold().strip()
    if article := _ARTICLE_LAST.fullmatch(name):
        name = f"{article[2]} {article[1]}"
    if article := _ARTICLE_FIRST.match(name):
        name = name[article.end() :]
    # "&" and "and" are equal; so are letters with and without accents in Latin, Greek and Cyrillic.
    name = unicodedata.normalize("NFKD", re.sub(r"\s+(?:and|und|et|y)\s+", "&", name))
    # A mark between digits keeps "Unit 1-11" and "Unit 11-1" apart.
    name = re.sub(r"(?<=\d)[^\w,.]+(?=\d)", "\0", name)
    return unicodedata.normalize("NFKC", "".join(filter(_counts, name))) or "".join(name.split())


def _counts(char: str) -> bool:
    """Check whether a character belongs to a key: letters, digits, and combining marks of scripts that need them."""
    return char.isalnum() or char == "\0" or (unicodedata.category(char)[0] == "M" and char > "\u036f")


def is_nobody(text: str) -> bool:
    """Check whether a text names no artist, such as "Unknown Artist", "[various]", "V.A." and "-"."""
    key = artist_key(text)
    return not key.strip("-–—_.") or key in _NOBODY or bool(_NUMBERED_NOBODY.fullmatch(key))


_NOBODY: Final = frozenset(artist_key(name) for name in _NOBODY_NAMES.split(";"))


def id_keys(text: str) -> frozenset[str]:
    """Return the keys of the MusicBrainz artist ids in a text, without ids such as that of "Various Artists"."""
    return frozenset(f"mbid:{uuid}" for uuid in _UUID.findall(text.casefold()) if uuid not in _NOBODY_IDS)


def group_by_keys(keys: Sequence[frozenset[str]]) -> list[str]:
    """Group tracks that share a key, directly or through other tracks.

    The groups are the connected components of the graph of tracks and keys.

    Args:
        keys: Keys of each track, as `artist_keys` and `id_keys` return them.

    Returns:
        Name of the group of each track, which does not depend on the order of the tracks; "" for a track without keys.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    known = {key for track_keys in keys for key in track_keys if not key.startswith(_IF_KNOWN)}
    resolved = [sorted({key.removeprefix(_IF_KNOWN) for key in track_keys} & known) for track_keys in keys]
    columns = {key: column for column, key in enumerate(sorted(known), start=len(keys))}
    rows = np.repeat(np.arange(len(keys)), [len(track_keys) for track_keys in resolved])
    edges = np.array([columns[key] for track_keys in resolved for key in track_keys], dtype=np.int64)
    n_nodes = len(keys) + len(columns)
    graph = coo_array((np.ones(len(edges)), (rows, edges)), shape=(n_nodes, n_nodes))
    _, labels = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    # In alphabetical order: the first key of a group is its name.
    for key, column in columns.items():
        names.setdefault(int(labels[column]), key)
    return [names[int(label)] if track_keys else "" for label, track_keys in zip(labels, resolved, strict=False)]
