"""Abbreviations, dates and words that begin sentences, in the languages that texts are cut in.

Plain word lists for English, German, French, Spanish, Italian, Dutch and Portuguese, lower case and
without the last period. Knows no rules: what follows from a word stands in `sentences`, `wrapping`
and `lines`.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TITLES = _words(
    """
    mr mrs ms mx dr prof lt sgt capt col gen maj cpl adm cmdr rev fr hon gov sen rep pres supt
    st ste mt ft messrs hr hrn dipl ing priv doz mme mmes mlle mlles mgr sr sra srta dra dña
    ud uds sig sigg dott avv geom dhr mevr mw mej drs ir exmo exma
    """
)
"""A name follows, if they begin with a capital or are no words otherwise."""

PLACES = _words("st ste mt ft")
"""Those that also end names: `Main St.`"""

BEFORE_NUMBERS = _words(
    """
    no nos nr nrn p pp pg vol vols fig figs art arts sec ch chap cap abt par para eq ex exx tab abb
    abs kap bd bde ziff s núm num nº pág págs pag pagg vgl al ann app rm apt bldg lot pl ed
    jan feb mar apr jun jul aug sep sept oct nov dec jän mär mrz okt dez janv févr fevr avr juil déc
    ene abr ago dic genn febbr magg giu giugn lug sett ott mrt fev mon tue tues thu thur thurs fri
    t tel fax v vv n c ca lin ln kl hausnr стр рис табл гл кв
    """
)
"""A number follows; before anything else the period ends a sentence."""

STREET = "str"
"""A word that ends so is a street, and its number follows: `Hauptstr. 5`."""

NEVER_LAST = _words(
    """
    vs ca approx cf viz vgl evtl ggf inkl exkl bzw bzgl zzgl abzgl sog resp tel ebd insb einschl
    gegr geb verh hrsg eds e.g i.e z.b d.h p.ex u.a i.d.r s.o s.u v.a m.a.w d.w.z n.b bijv incl
    excl c.f p.e p.ej por.ej u.u i.a z.t z.hd tsd mio mrd sig dott avv geom sra srta op av
    avda pza ctra np tzn m.in t.ex bl.a f.eks ул просп т.е т.к напр
    """
)
"""No sentence ends with these."""

SOMETIMES_LAST = _words(
    """
    etc usw inc ltd co corp llc bros jr sr esq dept univ assn ave blvd rd hwy sq ecc enz cie gmbh
    bldg mgmt govt est ext hrs hr min sec wk yr mo lb lbs oz gal ft ed u.s u.k a.m p.m ph.d u.s.w
    o.g a.c d.c b.c a.d str pl jh jhd
    """
)
"""In lower case or with a number the sentence goes on; with a capital it mostly does not."""

MONTHS = _words(
    """
    january february march april may june july august september october november december
    januar februar märz mai juni juli oktober dezember jänner feber
    janvier février mars avril juin juillet août septembre octobre novembre décembre
    enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre
    diciembre gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre
    januari februari maart mei augustus
    janeiro fevereiro março maio junho julho setembro outubro novembro dezembro
    jan feb mar apr jun jul aug sep sept oct nov dec mär mrz okt dez janv févr avr juil déc
    ene abr ago dic mrt fev
    """
)

WEEKDAYS = _words(
    """
    monday tuesday wednesday thursday friday saturday sunday
    montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag
    lundi mardi mercredi jeudi vendredi samedi dimanche
    lunes martes miércoles jueves viernes sábado domingo
    lunedì martedì mercoledì giovedì venerdì sabato domenica
    maandag dinsdag woensdag donderdag vrijdag zaterdag zondag
    segunda-feira terça-feira quarta-feira quinta-feira sexta-feira
    mon tue tues wed thu thur thurs fri sat sun
    """
)

DATE_WORDS = (
    MONTHS
    | WEEKDAYS
    | _words(
        """
        the le am den der el il on op o of de di del day week tag woche jour semaine día semana
        giorno dag dia morning afternoon evening night st nd rd th er a p m pm
        """
    )
)
"""All words that a date has."""

STARTERS = _words(
    """
    the a an it he she they we you i this that these those there then in on at when while if but and
    so as after before however my his her their our its your for from to by with not no yes what why
    how who where now today yesterday tomorrow later please also all some many most one once only
    der die das ein eine es er sie wir ihr ich dann da dort im am auf aus bei mit nach vor von wenn
    als aber und doch nicht dies diese dieser dieses mein meine sein seine ihre unser unsere heute
    gestern morgen später jetzt danach man kein keine wer wo wie warum was zu zum zur für über
    le la les un une il elle ils elles nous vous je ce cette ces cela ensuite puis dans sur quand
    mais et donc alors après avant mon ma mes son sa ses leur notre votre aujourd'hui hier demain
    el los las una unos unas él ella ellos ellas yo tú usted esto este esta entonces luego en cuando
    pero y después antes mi su sus nuestro nuestra hoy ayer mañana si no sí al por para con
    lo gli i uno io lei lui loro noi voi questo questa poi quando ma e dopo prima mio mia suo sua
    oggi ieri domani nel nella per da se non
    de het een hij zij ze wij jij je ik dit dat deze toen dan op bij toen maar en na voor mijn zijn
    haar hun ons onze vandaag gisteren morgen niet wat waarom
    o os as um uma ele ela eles elas nós eu isto isso depois então quando mas e seu sua meu minha
    hoje ontem amanhã não sim ao
    """
)
"""Words that begin sentences and, in the middle of one, are seldom written with a capital."""

PARTICLES = _words("le la el los las de da von van al di du do zu")
"""Words that begin sentences, and also stand within names: `J. Le Pen`."""

LETTERED = _words(
    """
    a an vitamin plan option type class group team hepatitis exhibit appendix section part room
    block gate platform level point question answer line grade track vitamine klasse gruppe typ
    plano groupe clase grupo gruppo vitamina
    """
)
"""Words before a letter that is no initial: `vitamin C.`"""

BEFORE_ORDINALS = _words(
    """
    der die das dem den des am im vom zum zur beim ab bis seit jeder jede jedes dieser diese dieses
    sein seine ihr ihre mein meine unser unsere einen zwei
    """
)
"""German words before an ordinal, which is written with a period: `der 2. Weltkrieg`."""

CONNECTIVES = _words(
    """
    a an the of to in on at by for from with without into onto over under about between through
    and or but nor as than that which who whose whom when while where because since until before
    after if whether is are was were be been being has have had do does did will would shall should
    can could may might must not very more most my your his her its our their this these those some
    any each every no last next called named
    der die das den dem des ein eine einen einem einer und oder aber sondern als wie dass daß weil
    wenn ob in im an am auf aus bei mit nach von vom vor zu zum zur für über unter durch gegen ohne
    um ist sind war waren wird werden wurde wurden hat haben hatte hatten sich nicht sehr mein meine
    dein sein seine ihr ihre unser unsere kein keine letzten nächsten
    le la les un une des du au aux et ou mais donc car que qui dont où de à en dans sur sous par
    pour avec sans chez est sont était étaient a ont ne pas plus très mon ma mes ton son sa ses
    notre votre leur leurs ce cet cette ces
    el los las una unos unas y o u pero que quien cuyo del al con sin para por sobre entre desde
    hasta es son era eran fue ha han no muy mi mis tu su sus nuestro nuestra este esta estos estas
    il lo gli uno e ma che chi cui di da con su per tra fra del della dei delle al alla nel nella
    è sono era erano ha hanno non molto mio mia suo sua nostro nostra questo questa
    het een en of maar dat die wie van op te bij met naar voor door zonder om is zijn waren werd
    heeft hebben had niet zeer mijn jouw zijn haar ons onze hun deze dit
    o os as um uma e ou mas que quem do da dos das no na nos nas ao à com sem para por sobre é são
    foi tem têm não muito meu minha seu sua nosso nossa este esta
    """
)
"""Words that a line ends with where a sentence goes on in the next."""
