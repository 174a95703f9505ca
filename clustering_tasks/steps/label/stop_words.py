"""English words that hold sentences together and name nothing.

None that a headline may be about: the lists of common libraries hold fire, bill, mill, UN and US.
"""

_LISTED = """
    a an the this that these those such some any each every either neither both all no none nor not
    i me my mine myself we our ours ourselves you your yours yourself yourselves
    he him his himself she her hers herself it its itself one oneself they them their theirs
    themselves who whom whose which what whoever whatever whichever whomever
    someone somebody something somewhere somehow anyone anybody anything anywhere anyhow anyway
    everyone everybody everything everywhere nobody nothing nowhere other others another else same
    aboard about above across after against along alongside amid amidst among amongst around as at
    before behind below beneath beside besides between beyond but by despite down during except for
    from in inside into like near of off on onto out outside over past per since than through
    throughout till to toward towards under underneath until unto up upon versus via with within
    without
    and or yet so if unless though although because while whereas whether whenever wherever when
    where why how whence whither
    am is are was were be been being do does did doing done have has had having can cannot could may
    might must shall should will would ought need let lets get gets got getting gotten
    isn't aren't wasn't weren't don't doesn't didn't haven't hasn't hadn't can't couldn't mustn't
    shan't shouldn't won't wouldn't you're you've you'll you'd he's he'll he'd she's she'll she'd
    it's it'll we're we've we'll we'd they're they've they'll they'd that's there's here's who's
    what's
    again ago almost alone already also altogether always apart away back ever even far forth
    further furthermore hence here hereby herein however indeed instead just later least less
    last likewise many maybe meanwhile more moreover most mostly much namely never nevertheless
    nonetheless now nowadays often once only otherwise perhaps please quite rather really seldom
    several simply still then thence there thereafter thereby therefore therein thereupon thus
    together too very well whereby wherein whereupon
    few fewer little lot lots enough own made
    two three four five six seven eight nine ten eleven twelve
    etc ie eg vs ltd inc co
"""

STOP_WORDS = frozenset(_LISTED.split()) | frozenset(_LISTED.replace("'", "\u2019").split())
