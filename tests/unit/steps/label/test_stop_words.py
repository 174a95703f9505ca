import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.stage3.words import words_of
from clustering_tasks.steps.label.keywords import Keywords
from clustering_tasks.steps.label.stop_words import stop_words_of, usual_language

REPO = Path(__file__).parents[4]
TITLES = {
    "en": [
        "The river rises again and the old town is under water",
        "Thousands have to leave their homes because of the flood",
        "What the government will do for those who lost everything",
    ],
    "de": [
        "Der Fluss steigt weiter und die Altstadt steht unter Wasser",
        "Tausende müssen wegen der Flut ihre Häuser verlassen",
        "Was die Regierung für die Opfer der Flut tun will",
    ],
    "fr": [
        "Le fleuve monte encore et la vieille ville est sous les eaux",
        "Des milliers d'habitants ont été évacués à cause de la crue",
        "Ce que le gouvernement veut faire pour ceux qui ont tout perdu",
    ],
    "es": [
        "El río sigue subiendo y el casco antiguo está bajo el agua",
        "Miles de vecinos han sido evacuados por la riada",
        "Lo que hará el gobierno para los que lo han perdido todo",
    ],
    "ru": [
        "Река снова поднимается, и старый город уже под водой",
        "Тысячи жителей эвакуированы из-за наводнения на юге",
        "Что власти могут сделать для тех, кто потерял всё",
    ],
    "ar": [
        "النهر يرتفع من جديد و المدينة القديمة تحت الماء",
        "إجلاء آلاف السكان بسبب الفيضانات في شمال البلاد",
        "ماذا يمكن أن تفعل الحكومة بعد الفيضانات التي ضربت الشمال",
    ],
    "tr": [
        "Nehir yine yükseliyor ve sular eski kente girdi",
        "Sel nedeniyle binlerce kişi evlerinden tahliye edildi",
        "Hükümet her şeyini kaybedenler için ne yapacak",
    ],
}
SOME_STOP_WORDS = {
    "en": {"the", "and", "their", "because", "of", "what", "those"},
    "de": {"der", "und", "die", "unter", "wegen", "ihre", "was", "für"},
    "fr": {"le", "et", "est", "sous", "des", "ont", "été", "ce", "que", "pour", "ceux", "qui"},
    "es": {"el", "está", "bajo", "de", "han", "sido", "por", "la", "lo", "que", "para", "los"},
    "ru": {"снова", "уже", "под", "из", "на", "что", "могут", "для", "тех", "кто"},
    "ar": {"من", "تحت", "بسبب", "في", "ماذا", "يمكن", "أن", "بعد", "التي"},
    "tr": {"yine", "ve", "nedeniyle", "her", "için", "ne", "yapacak"},
}
SOME_NEWS = {
    "en": {"river", "flood", "government"},
    "de": {"fluss", "flut", "regierung", "opfer"},
    "fr": {"fleuve", "crue", "gouvernement"},
    "es": {"río", "riada", "gobierno", "evacuados"},
    "ru": {"река", "город", "наводнения", "власти"},
    "ar": {"النهر", "الفيضانات", "الحكومة"},
    "tr": {"nehir", "sel", "hükümet"},
}


def keywords_of(texts: list[str], usual: str, others: list[list[str]] | None = None) -> set[str]:
    """The single words that weigh anything in a cluster."""
    return set(Keywords.of_texts([texts, *(others or [])], usual).weights_of(0))


def removed(texts: list[str], usual: str = "en") -> list[frozenset[str]]:
    return list(stop_words_of([words_of(text) for text in texts], usual))


@pytest.mark.parametrize("usual", ["en", "de"])
@pytest.mark.parametrize("language", TITLES)
def test_a_cluster_loses_the_stop_words_of_its_language(language: str, usual: str) -> None:
    words = keywords_of(TITLES[language], usual, [TITLES["en"]])
    assert not words & SOME_STOP_WORDS[language]
    assert words >= SOME_NEWS[language]


@pytest.mark.parametrize("language", TITLES)
def test_the_usual_language_is_that_of_most_texts(language: str) -> None:
    level = [*TITLES[language] * 20, *(title for titles in TITLES.values() for title in titles)]
    assert usual_language(map(words_of, level)) == language


def test_without_a_word_that_is_listed_english_is_usual() -> None:
    assert usual_language([]) == usual_language([[], ["hiroshima"]]) == "en"


def test_a_text_in_another_language_than_its_cluster_loses_its_own_stop_words() -> None:
    english = TITLES["en"] * 3
    (*of_english, of_german) = removed([*english, TITLES["de"][2]])
    assert of_german >= {"was", "die", "für", "der", "will"}
    assert not any({"was", "die", "für"} <= words for words in of_english)
    assert removed([*TITLES["ru"], TITLES["en"][1]])[-1] >= {"their", "because", "of", "the"}


@pytest.mark.parametrize(
    "titles",
    [
        ["War", "Men"],
        ["Iran war", "Two men die"],  # stop words of German, Danish and Swedish
        ["Hit man dies", "Hit man dies in Sofia"],
        ["Los Angeles fire", "Los Angeles fire", "Los Angeles fire"],
        ["Die Hard", "Die Hard 2", "To die for"],
    ],
)
def test_two_words_that_another_language_lists_are_no_proof_of_it(titles: list[str]) -> None:
    news = {"war", "men", "die", "hit", "man", "dies", "los", "fire"}
    said = {word for title in titles for word in words_of(title)}
    assert keywords_of(titles, "en") >= news & said


def test_the_level_decides_about_a_text_that_shows_no_language() -> None:
    assert keywords_of(["Die Welt", "War"], "de") == {"welt"}
    assert keywords_of(["Die Welt", "War"], "en") == {"die", "welt", "war"}


@pytest.mark.parametrize(
    ("language", "news"),
    [
        ("en", {"un", "us", "fire", "bill", "state", "system", "first", "world", "million"}),
        ("de", {"recht", "mensch", "gott", "montag", "januar"}),
        ("fr", {"état", "droite", "force", "lundi", "janvier"}),
        ("es", {"estados", "unidos", "país", "trabajo", "lunes", "enero"}),
        ("ru", {"москва", "россия", "мира", "город", "понедельник"}),
        ("ar", {"مليون", "زيارة", "مايو"}),
        ("tr", {"milyon", "pazartesi", "ocak"}),
    ],
)
def test_no_list_holds_what_news_are_about(language: str, news: set[str]) -> None:
    assert keywords_of([" ".join(sorted(news)), *TITLES[language]], language) >= news


@pytest.mark.parametrize("apostrophe", ["'", "\u2019"])
def test_words_joined_by_an_apostrophe_are_stop_words_if_their_parts_are(apostrophe: str) -> None:
    titles = ["Qu'il vienne jusqu'ici, c'est l'Ukraine", "Don't"]
    titles = [title.replace("'", apostrophe) for title in titles]
    assert keywords_of(titles[:1], "fr") == {"vienne", "ukraine"}
    assert f"don{apostrophe}t" not in keywords_of([*titles[1:], *TITLES["en"]], "en")


def test_the_turkish_capital_does_not_cut_a_word() -> None:
    assert words_of("İzmir için İYİ haber") == ["izmir", "için", "iyi", "haber"]


def test_scripts_without_blanks_keep_their_runs() -> None:
    texts = ["北京奥运会 开幕", "東京の 天気", "สวัสดี"]
    assert keywords_of(texts, "en") >= {"北京奥运会", "天気"}
    assert removed(texts) == [frozenset()] * 3


@pytest.mark.parametrize("texts", [[], [""], ["", "?"], ["1 2 3", ""]])
def test_no_words_no_stop_words(texts: list[str]) -> None:
    assert removed(texts) == [frozenset()] * len(texts)


@given(st.permutations([title for titles in TITLES.values() for title in titles]))
def test_the_order_of_texts_changes_nothing(texts: list[str]) -> None:
    by_text = dict(zip(texts, removed(texts), strict=True))
    ordered = sorted(texts)
    assert by_text == dict(zip(ordered, removed(ordered), strict=True))
    words = [words_of(text) for text in texts]
    assert usual_language(words) == usual_language(map(words_of, ordered))


def test_the_order_of_sets_changes_nothing() -> None:
    code = (
        "from clustering_tasks.steps.label.stop_words import stop_words_of, usual_language as u\n"
        "t = [['vor', 'in'], ['hun', 'med', 'og', 'var'], ['para', 'como', 'uma', 'sobre']]\n"
        "print([sorted(s) for s in stop_words_of(t, 'en')], u(t))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=REPO,
            env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(REPO)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(3)
    }
    assert len(printed) == 1
