"""The country codes that ``geo`` takes.

``geo`` selects customers by the two-letter code of their country. An unknown code is not an error for ChartMogul: it
selects nobody, and every figure is 0. So a wrong code is refused before anything is sent.

Source: ISO 3166-1 alpha-2 (https://www.iso.org/iso-3166-country-codes.html), its 249 assigned codes in November 2026,
as in pycountry 26.2.16.
"""

from collections.abc import Mapping

_ASSIGNED = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ
    BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ
    DE DJ DK DM DO DZ
    EC EE EG EH ER ES ET
    FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY
    HK HM HN HR HT HU
    ID IE IL IM IN IO IQ IR IS IT
    JE JM JO JP
    KE KG KH KI KM KN KP KR KW KY KZ
    LA LB LC LI LK LR LS LT LU LV LY
    MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ
    NA NC NE NF NG NI NL NO NP NR NU NZ
    OM
    PA PE PF PG PH PK PL PM PN PR PS PT PW PY
    QA
    RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ
    TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ
    UA UG UM US UY UZ
    VA VC VE VG VI VN VU
    WF WS
    YE YT
    ZA ZM ZW
"""

# Not assigned by ISO, but in general use: payment providers and the European Commission write Kosovo in this way.
_IN_USE = "XK"

COUNTRIES = frozenset(f"{_ASSIGNED} {_IN_USE}".split())
"""Every code that ``geo`` takes."""

OTHER_CODES: Mapping[str, tuple[str, str]] = {
    "UK": ("the United Kingdom", "GB"),
    "EL": ("Greece", "GR"),
}
"""Codes that other institutions use for a country, with its name and the code of ISO."""
