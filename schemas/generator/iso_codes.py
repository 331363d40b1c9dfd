"""Writes the codes of countries and currencies, and the names of countries, into the package.

    python -m schemas.generator.iso_codes

Codes and English names are those of ISO 3166-1 and ISO 4217 as pycountry has them, names in other languages those of
the Unicode CLDR as Babel has them: together they take 55 MB, and a few hundred lines of them are needed.
"""

from __future__ import annotations

import textwrap
import unicodedata
from importlib.metadata import version
from pathlib import Path

import pycountry
from babel import Locale

FILE = Path(__file__).parents[2] / "quivo_frames" / "analysis" / "checks" / "iso_codes.toml"
LOCALES = [
    "en", "de", "de_AT", "fr", "it", "es", "nl", "pl", "cs", "sk", "sl", "hr", "hu", "pt", "pt_PT",
    "da", "sv", "ro",
]  # fmt: skip
_ENGLISH_NAMES = ("name", "official_name", "common_name", "alpha_3")


def render_iso_codes() -> str:
    """The content of the file."""
    countries = sorted(country.alpha_2 for country in pycountry.countries)
    currencies = sorted(currency.alpha_3 for currency in pycountry.currencies)
    names = {getattr(country, field, "") for country in pycountry.countries for field in _ENGLISH_NAMES}
    for locale in LOCALES:
        territories = Locale.parse(locale).territories
        names |= {territories.get(code, "") for code in countries}
    written = sorted({unicodedata.normalize("NFC", name).upper() for name in names if name})
    return f'''\
# Written by schemas/generator/iso_codes.py; `make schemas` renews it.
# countries: ISO 3166-1 alpha-2, currencies: ISO 4217, both as in pycountry {version("pycountry")} (year.month.day).
# names: of countries, in upper case, one a line: in English, and codes of three letters, as in pycountry; in
# {len(LOCALES)} locales as in the Unicode CLDR of Babel {version("babel")}, whose license is beside this file.
countries = """
{textwrap.fill(" ".join(countries), 118)}
"""
currencies = """
{textwrap.fill(" ".join(currencies), 118)}
"""
names = \'\'\'
{chr(10).join(written)}\'\'\'
'''


if __name__ == "__main__":
    FILE.write_text(render_iso_codes(), encoding="utf-8", newline="\n")
