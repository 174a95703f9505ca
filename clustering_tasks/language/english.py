"""Classes of English words that show where a clause begins, ends and has its verb.

Labels are cut by them. Texts of other languages have none of these words, and stay whole.
"""


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


# A long sentence in English has one of these.
ENGLISH = words("the of and to that with for by is was has were have said The A")
# Finite forms, but for those that are participles, too.
FINITE = words(
    """
    is are was were has have had will would can could may might must shall should does did do
    won't can't isn't aren't wasn't weren't hasn't haven't hadn't didn't doesn't don't wouldn't
    he's she's it's they've he'll she'll we'll they'll says tells won wins loses makes took
    takes gets gave gives went goes came comes became becomes began begins broke breaks brings
    builds buys chose cuts died dies drew drove fell falls fights finds fled flees flew forces
    faces hits hung holds keeps knew knows leads leaves lets meets pays puts ran runs rose rises
    sank saw sees sends sets shook shoots shuts spoke stole stood strikes sues swore throws
    threw withdrew wrote writes kills hosts signs seeks sparks shakes rocks jolts stabs shows
    plans wants calls claims urges warns vows slams backs bans ends opens closes names joins
    quits enters checks arrests charges accuses denies rejects approves passes launches unveils
    announces reveals reports acquires agrees plays beats defeats stops retains scores replaces
    returns remains rests sinks levels destroys damages injures crashes celebrates remembers
    helps hopes expects threatens reaches raises drops pulls pleads escaped crashed collapsed
    exploded erupted intervened survived resigned returned appeared occurred happened rioted
    arrived agreed succumbed remained jumped climbed entered refused declined tried failed vowed
    pledged froze grew sang swam wore woke blew forbade forgot tore undertook overcame overthrew
    shrank sprang rang rode
    """
)
# Also what stands behind a noun: "a man shot in Paris".
PARTICIPLES = words(
    """
    said told lost made got brought built bought caught cut fought found held hit kept laid
    led left let met paid put sent set shot shut spent struck swept taught thought hurt sued
    beaten broadcast bid cast cost
    """
)
BE = words("is are was were be been being get gets got")
RELATIVE = words("who which whose whom that")
# Words that begin a noun phrase, and so a sentence rather than a headline.
OPENS_NOUN = words("a an the one two three several some many his her its their")
# Behind a participle they show that it belongs to the noun before it.
LINKS = words(
    """
    of in on by from at with to for as and near after before during into over under yesterday
    today who which whose whom that monday tuesday wednesday thursday friday saturday sunday
    late early last
    """
)
# With one of these no clause ends.
ENDS_OPEN = words(
    """
    a an the of to and or but for with by from at in on as that which who whom whose if than
    into onto upon about between among against during without within near is are was were be
    been being has have had will would can could may might must should their his her its our
    your my this these those some any not very mr mrs dr said after before because while when
    where until
    """
)
# What a text that begins so is about stands before it.
OPENS_VAGUE = words(
    """
    he she it they we i you his her their its our my your this that these those there here him
    them then but and so or also well what who which when where why how however meanwhile still
    yet because if such both it's he's she's that's there's here's what's i'm we're they're
    it'll he'll even after despite
    """
)
FIRST_PERSON = words("i i'm i've we we're we've our us you you're your me my here's")
# Verbs that only say that something was said.
TOLD = words(
    """
    said says say told tells tell reported reportedly announced according learned added
    """
)
AUTHORITIES = words("authorities officials police sources")
# What dates and lines about dates are made of.
DATES = words(
    """
    january february march april may june july august september october november december jan
    feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday
    saturday sunday mon tue wed thu fri sat sun am pm a.m p.m gmt est edt pst utc on at by last
    updated posted published article date time
    """
)
# When something was, behind what it is about: "in Oslo weeks after", "the vote on Friday".
TIMES = words(
    """
    monday tuesday wednesday thursday friday saturday sunday january february april june july
    august september october november december yesterday today tonight tomorrow days weeks months
    years hours minutes
    """
)
# Forms of address: before a name a part of it, by themselves nothing.
ADDRESSES = words(
    """
    mr mrs ms mx dr prof rev gov sen gen col lt sgt capt maj cmdr cpl adm pres hon jr sr st ste
    """
)
# Between two words, they show that no noun phrase has both.
JOINS_CLAUSES = words("to but if so or nor not no as is are was were be has had did do it he she")
# No sentence ends with their point.
ABBREVIATIONS = words(
    """
    mr mrs ms dr prof rev hon gov sen rep gen col lt sgt capt maj cmdr adm pres st ste mt ft no
    nos vs v jr sr inc corp co ltd bros dept univ assn jan feb mar apr jun jul aug sep sept oct
    nov dec mon tue wed thu fri sat sun ala ariz ark calif colo conn del fla ga ill ind kan ky
    la md mass mich minn miss mo mont neb nev okla ore pa penn tenn tex va vt wash wis wyo u.s
    u.k u.n d.c e.g i.e a.m p.m etc al approx est bd ave blvd rd stn supt insp det pfc hwy bldg
    """
)
NOUN_OF: dict[str, str] = {
    verb: noun
    for noun, verbs in {
        "Statement": "said say says told tell tells stated saying added wrote spoke",
        "Announcement": "announced announce announces announcing",
        "Report": "reported report reports reporting according",
        "Confirmation": "confirmed confirms confirm",
        "Claim": "claimed claims claim",
    }.items()
    for verb in words(verbs)
}
"""Of a verb that only says that something was said, the noun that may lead a label."""
# First names that do not begin like what they are short for.
SHORT_FOR: dict[str, str] = {
    short: first
    for first, all_short in {
        "albert": "bert bertie",
        "andrew": "drew",
        "anthony": "tony",
        "charles": "chuck",
        "edward": "ted teddy ned",
        "elizabeth": "beth betty liz lizzie",
        "eugene": "gene",
        "henry": "hank",
        "james": "jim jimmy",
        "john": "jack",
        "margaret": "peggy",
        "mary": "molly polly",
        "richard": "dick",
        "robert": "bob bobby",
        "william": "bill billy",
    }.items()
    for short in words(all_short)
}
