"""Pronouns of other languages than English: mentions that name nobody."""

# ruff: noqa: RUF001  (letters of other scripts look like Latin ones)

from clustering_tasks.language.english import words
from clustering_tasks.stage3.text import matching


def _matched(text: str) -> frozenset[str]:
    return frozenset(map(matching, words(text)))


# Of scripts that no other language here shares, so that a capital makes no name of them.
_OTHER_SCRIPTS = _matched(
    """
    он она оно они его её ее ему ей им ими их него неё нее нему ней нею них ним ними
    я мы вы ты нас вас нам вам себя кто который которая которое которые которого которой которых
    він вона воно вони його її йому їй їх їм ними нього неї них хто який яка яке які
    той тя то те него нея тях
    αυτός αυτή αυτό αυτοί αυτές αυτά του της τους τον την που εκείνος εκείνη οποίος οποία οποίοι
    هو هي هم هما هن نحن أنا انا أنت إنه إنها انه انها الذي التي الذين وهو وهي وهم
    او وی آنها ایشان ما من شما خود که
    הוא היא הם הן אני אנחנו אתה אותו אותה אותם שלו שלה שלהם אשר
    他 她 它 他们 她们 它们 他們 她們 它們 我 我们 我們 你 您 你们 自己 其 谁 誰 这 那 這 此
    彼 彼女 彼ら 彼女ら それ これ あれ 私 我々 自分
    그 그녀 그들 그것 이것 저 나 우리 자신 그가 그는 그의 그를 그녀는 그들은
    वह वे यह ये उस उसे उसने उन्हें उन्होंने उसका उनके मैं हम
    """
)
# Of Latin letters: in capitals a name or an acronym ("Lo", "SE"). Without what is an English noun
# ("man", "die", "den", "hen", "ham").
_LATIN = _matched(
    """
    él ella ellos ellas ello usted ustedes lo les se su sus yo nosotros nos quien quienes
    il elle ils elles lui leur leurs eux se ce cela celui celle ceux celles nous vous je qui dont
    er sie es ihn ihm ihr ihre ihnen wir ich uns sich sein seine der das
    egli essa essi esse lei loro gli noi io sé cui
    ele ela eles elas lhe lhes nós eu você vocês
    hij zij ze hem haar hun het wij ik zich
    han hon hun det dem hans hennes honom henne vi jag jeg
    on ona ono oni jego jej ich jemu nim nią nimi któ który która które
    jej jeho jí jim jich ta ti ty který která které
    o onlar onu ona onun onları biz ben siz kendisi kendi bu
    hän he se ne hänen heidän
    ő ők ez az
    """
)


def is_foreign_pronoun(mention: str) -> bool:
    """Whether a mention is a pronoun of a language other than English, as a whole."""
    word = matching(mention)
    return word in _OTHER_SCRIPTS or (mention.islower() and word in _LATIN)
